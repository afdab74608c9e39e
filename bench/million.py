"""A million images: made, packed, opened, shuffled and streamed, with the memory that each takes.

    python -m bench.million [--images 1000000] [--folder FOLDER]

Images of 32x32x3, all different, are written as PNGs into tar shards of 20,000 with their classes. Every step is a
process of its own. Memory is its own (anonymous) at the peak, without what only `import triptych.data` takes; pages of
the mapped pack are the system's cache and are not counted. Needs about 10 GB of disk for a million.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np

SIDE, SHARD, BATCH, SECONDS = 32, 20_000, 256, 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--step", choices=STEPS)
    asked = parser.parse_args()
    if asked.step:
        print(STEPS[asked.step](asked.folder, asked.images))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        idle = 0
        for step in STEPS:
            said, memory = measured(step, folder, asked.images)
            idle = idle or memory
            grown = max(0, memory - idle)
            print(f"{step:8} {said:50} {grown / 1e6:6.0f} MB, {grown / asked.images:5.0f} bytes an image", flush=True)


def measured(step: str, folder: Path, images: int) -> tuple[str, int]:
    """What a step says, and its peak of anonymous memory in bytes."""
    line = [sys.executable, "-m", "bench.million", "--step", step, "--folder", str(folder), "--images", str(images)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as child:
        most, status = 0, Path(f"/proc/{child.pid}/status")
        while child.poll() is None:
            lines = dict(entry.split(":", 1) for entry in status.read_text().splitlines() if ":" in entry)
            most = max(most, 1024 * int(lines.get("RssAnon", "0 kB").split()[0]))
            time.sleep(0.02)
        said = child.stdout.read() if child.stdout else ""
    if child.returncode:
        raise SystemExit(f"{step} ended with {child.returncode}")
    return said.strip(), most


def idle(folder: Path, images: int) -> str:
    import triptych.data.opening
    import triptych.data.stream  # noqa: F401

    time.sleep(0.1)
    return "imports alone"


def make(folder: Path, images: int) -> str:
    """Four colours blended over each image, drawn from its number."""
    from PIL import Image

    start = time.perf_counter()
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    slope = np.linspace(0, 1, SIDE)
    for first in range(0, images, SHARD):
        with tarfile.open(folder / "shards" / f"{first:08d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for number in range(first, min(first + SHARD, images)):
                a, b, c, d = np.random.default_rng(number).uniform(0, 255, (4, 1, 1, 3))
                x, y = slope[None, :, None], slope[:, None, None]
                pixels = ((a * (1 - x) + b * x) * (1 - y) + (c * (1 - x) + d * x) * y).astype(np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
                for ending, data in (("png", buffer.getvalue()), ("cls", b"%d" % (number % 10))):
                    info = tarfile.TarInfo(f"{number:08d}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
                tar.members.clear()  # type: ignore[attr-defined]
    return f"{images:,} PNGs in {time.perf_counter() - start:.0f} s"


def pack(folder: Path, images: int) -> str:
    from triptych.data.opening import pack as write

    start = time.perf_counter()
    report = write(folder / "shards", folder / "x.pack", size=SIDE, note=lambda text: None)
    seconds = time.perf_counter() - start
    assert report.images == images
    assert len(report.class_names) == min(10, images)
    return f"{seconds:.0f} s, {images / seconds:,.0f} images/s"


def reopen(folder: Path, images: int) -> str:
    from triptych.data.opening import open_data

    start = time.perf_counter()
    splits = open_data(folder / "x.pack", note=lambda text: None)
    return f"{time.perf_counter() - start:.1f} s, {len(splits.train):,} to train on"


def stream(folder: Path, images: int) -> str:
    import torch

    from triptych.data.opening import open_data
    from triptych.data.stream import Stream

    torch.set_num_threads(1)
    batches = Stream(open_data(folder / "x.pack", note=lambda text: None).train, 0, BATCH)
    start = time.perf_counter()
    batches.batch(0)
    shuffled, start, seen = time.perf_counter() - start, time.perf_counter(), BATCH
    while time.perf_counter() - start < SECONDS:
        batches.batch(seen)
        seen += BATCH
    rate = (seen - BATCH) / (time.perf_counter() - start)
    return f"shuffled in {1000 * shuffled:.0f} ms, {rate:,.0f} images/s"


STEPS = {"idle": idle, "make": make, "pack": pack, "open": reopen, "stream": stream}

if __name__ == "__main__":
    main()
