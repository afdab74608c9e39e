"""Images a second from features to a Frechet distance, beside torchmetrics' FrechetInceptionDistance.

    python -m bench.metrics [--features 192 2048] [--images 10000] [--batch 64] [--rounds 3] [--threads 2]

Both sides are given the same float32 features of as many real and generated images, in the same
batches, by an extractor that costs nothing; ours also keeps the rows that all other metrics need. The
two sides take turns; medians are compared. Then two processes see 20,000 and 200,000 images, and their
peaks of memory are compared. Needs `pip install torchmetrics`.
Goals: at least 3 times the speed, and memory that does not grow with the images.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from triptych.metrics.fid import frechet
from triptych.metrics.summary import View, gather
from triptych.words import size

FEW, MANY = 20_000, 200_000  # images of the two measurements of memory


class Round(NamedTuple):
    """One side's turn."""

    value: float
    streaming: float  # seconds to take in both sets
    distance: float  # seconds to the value from there


def features(count: int, width: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Batches of rows like those of a network after its last ReLU: not negative, correlated, unequal in scale."""
    draw = torch.Generator().manual_seed(seed)
    mix = torch.randn(width, width, generator=torch.Generator().manual_seed(0)) / width**0.5
    for start in range(0, count, batch):
        yield torch.relu(torch.randn(min(batch, count - start), width, generator=draw) @ mix + 0.1 + 0.01 * seed)


def ours(real: list[Tensor], made: list[Tensor]) -> Round:
    start = time.perf_counter()
    both = [gather("features", map(View, side)) for side in (real, made)]
    taken = time.perf_counter()
    value = frechet(both[0].moments, both[1].moments)
    return Round(value, taken - start, time.perf_counter() - taken)


def theirs(real: list[Tensor], made: list[Tensor]) -> Round:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Seen(nn.Identity):
        num_features = real[0].shape[1]

    metric = FrechetInceptionDistance(Seen())
    start = time.perf_counter()
    for side, is_real in ((real, True), (made, False)):
        for batch in side:
            metric.update(batch, real=is_real)
    taken = time.perf_counter()
    value = float(metric.compute())
    return Round(value, taken - start, time.perf_counter() - taken)


def compared(width: int, images: int, batch: int, rounds: int) -> None:
    """Alternate both sides on features of this width and print their medians."""
    real, made = (list(features(images, width, batch, seed)) for seed in (1, 2))
    sides = {"triptych": ours, "torchmetrics": theirs}
    turns: dict[str, list[Round]] = {name: [] for name in sides}
    for side in sides.values():
        side(*(list(features(256, 64, batch, seed)) for seed in (1, 2)))  # loads what the first call loads
    for _ in range(rounds):
        for name, side in sides.items():
            turns[name].append(side(real, made))
    print(f"{width} features, {images:,} real and {images:,} generated images, batches of {batch}")
    speeds = {}
    for name, found in turns.items():
        seconds = sorted(turn.streaming + turn.distance for turn in found)
        speeds[name] = 2 * images / statistics.median(seconds)
        stream, distance = (statistics.median(part) for part in list(zip(*found, strict=True))[1:])
        span = f"{seconds[0]:.2f} to {seconds[-1]:.2f} s: {stream:.2f} s for the images, {distance:.2f} s for the value"
        print(f"  {name:12} {speeds[name]:9,.0f} images/s   ({span})   {found[0].value:.9g}")
    print(f"  ratio        {speeds['triptych'] / speeds['torchmetrics']:.2f}")


def peak(count: int, width: int, batch: int) -> int:
    """The most bytes that a fresh process held while it took in so many images."""
    words = ["-m", "bench.metrics", "--peak", str(count), "--features", str(width), "--batch", str(batch)]
    return int(subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.metrics", description="Our Frechet distance beside torchmetrics'.")
    parser.add_argument("--features", type=int, nargs="+", default=[192, 2048])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", type=int, help="print the peak of memory for so many images, and stop")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with threadpool_limits(asked.threads):  # NumPy's threads too
        if asked.peak:
            gather("features", map(View, features(asked.peak, asked.features[0], asked.batch, 1)))
            print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            return
        for width in asked.features:
            compared(width, asked.images, asked.batch, asked.rounds)
    few, many = (peak(count, asked.features[0], asked.batch) for count in (FEW, MANY))
    print(f"peak memory, {asked.features[0]} features: {size(few)} for {FEW:,} images, {size(many)} for {MANY:,}")


if __name__ == "__main__":
    main()
