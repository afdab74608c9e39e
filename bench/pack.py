"""How fast images are packed, and how fast a pack is read.

    python -m bench.pack FOLDER

FOLDER holds small images, such as CIFAR-10 as 60,000 JPEGs in class folders. It is packed as it is;
then up to 10,000 of its images are saved as 32-px PNGs, packed again, and read back.
Goals on two cores: 60,000 small JPEGs in under 60 s, and at least 10,000 32-px images a second read
back in shuffled batches of 64.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from triptych.core import Batch
from triptych.data import Stream, pack
from triptych.data.arrays import ArraySource
from triptych.data.packed import open_pack

SIDE, BATCH, PNGS, SECONDS = 32, 64, 10_000, 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as scratch:
        there = Path(scratch)
        packed("folder as it is", folder, there / "all.pack")
        pngs = saved_as_png(open_pack(there / "all.pack").source, there / "pngs")
        packed(f"{SIDE}-px PNGs", pngs, there / "png.pack")
        reading(there / "png.pack")


def packed(what: str, folder: Path, out: Path) -> None:
    """Time one packing, from the listing to the renamed folder."""
    start, worked = time.perf_counter(), processor_time()
    report = pack(folder, out, note=lambda text: print(f"  {text}", file=sys.stderr))
    seconds, worked = time.perf_counter() - start, processor_time() - worked
    shape = "x".join(str(side) for side in report.image_shape)
    rate = report.images / seconds
    took = f"{seconds:.1f} s ({worked:.1f} s of processor time), {rate:,.0f} images/s"
    print(f"pack {what}: {report.images:,} images of {shape} in {took}")


def processor_time() -> float:
    """Seconds of work so far, in this process and in its children that have ended."""
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(spent.ru_utime + spent.ru_stime for spent in times)


def saved_as_png(source: ArraySource, folder: Path) -> Path:
    """The first images of a pack as PNG files of SIDE pixels."""
    folder.mkdir()
    for index in range(min(PNGS, len(source))):
        pixels = source.read([index]).images[0].permute(1, 2, 0).numpy()
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        image.resize((SIDE, SIDE)).save(folder / f"{index:05d}.png")
    return folder


def reading(path: Path) -> None:
    """Time shuffled batches on one thread: uint8 from the mapped file, and the floats that training sees."""
    torch.set_num_threads(1)
    source = open_pack(path).source
    order = np.random.default_rng(0).permutation(len(source))
    batches = [order[start : start + BATCH].tolist() for start in range(0, len(order) - BATCH, BATCH)]
    rate = measured(lambda number: source.read(batches[number % len(batches)]))
    print(f"read from the mapped file, uint8, shuffled batches of {BATCH}: {rate:,.0f} images/s")
    for title, flip, shift in (("plain", False, 0), ("flips and shifts", True, 2)):
        stream = Stream(source, 0, BATCH, flip=flip, shift=shift)
        rate = measured(partial(batch_number, stream))
        print(f"stream of floats, {title}, batches of {BATCH}: {rate:,.0f} images/s")


def batch_number(stream: Stream, number: int) -> Batch:
    return stream.batch(number * BATCH)


def measured(step: Callable[[int], Batch]) -> float:
    """Images a second of `step(number)`, after a warm-up."""
    for number in range(20):
        step(number)
    start, number = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        step(number)
        number += 1
    return number * BATCH / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
