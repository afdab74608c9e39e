"""How fast images are packed, and how fast a pack is read.

    python -m bench.pack FOLDER

FOLDER holds small images (60,000 CIFAR-10 JPEGs in class folders, say). They are packed twice: once
from FOLDER itself, and, for the reading figure, a part of them after it was saved as 32-px PNGs.
Goals on two cores: 60,000 small JPEGs in under 60 s, and at least 10,000 32-px images a second read
back in shuffled batches of 64.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from triptych.data import Stream, pack
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
    start = time.perf_counter()
    report = pack(folder, out, note=lambda text: print(f"  {text}", file=sys.stderr))
    seconds = time.perf_counter() - start
    channels, height, width = report.image_shape
    rate = report.images / seconds
    print(f"pack {what}: {report.images:,} at {height}x{width}x{channels} in {seconds:.1f} s, {rate:,.0f} images/s")


def saved_as_png(source: object, folder: Path) -> Path:
    """Images of a pack as PNG files of SIDE pixels."""
    from triptych.data.arrays import ArraySource

    assert isinstance(source, ArraySource)
    folder.mkdir()
    for index in range(min(PNGS, len(source))):
        pixels = source.read([index]).images[0].permute(1, 2, 0).numpy()
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        image.resize((SIDE, SIDE)).save(folder / f"{index:05d}.png")
    return folder


def reading(path: Path) -> None:
    """Time shuffled batches: uint8 mapped from the pack's file, and the float batches that training sees."""
    source = open_pack(path).source
    order = np.random.default_rng(0).permutation(len(source))
    batches = [order[start : start + BATCH] for start in range(0, len(order) - BATCH, BATCH)]
    rate = measured(lambda step: source.read(batches[step % len(batches)].tolist()))
    print(f"read from the mapped file, uint8, shuffled batches of {BATCH}: {rate:,.0f} images/s")
    for title, how in (("plain", {}), ("flips and shifts", {"flip": True, "shift": 2})):
        stream = Stream(source, 0, BATCH, **how)
        rate = measured(lambda step, stream=stream: stream.batch(step * BATCH))
        print(f"stream of floats, {title}, batches of {BATCH}: {rate:,.0f} images/s")


def measured(step: object) -> float:
    """Images a second of `step(number)`, after a warm-up."""
    assert callable(step)
    for number in range(20):
        step(number)
    start, number = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        step(number)
        number += 1
    return number * BATCH / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
