"""The most memory that the statistics of images take: of few, and of ten times as many.

    python -m bench peak [--features 2048] [--batch 64] [--threads 2]

Two processes see 20,000 and 200,000 images; their peaks of memory are to be the same.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import torch

from bench.metrics import rows
from triptych.metrics.summary import View, gather
from triptych.words import size

FEW, MANY = 20_000, 200_000


def peak(count: int, width: int, batch: int, threads: int) -> int:
    """The most bytes that a fresh process held while it took in so many images."""
    words = ["-m", "bench.peak", "--count", count, "--features", width, "--batch", batch, "--threads", threads]
    return int(subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.peak", description="The most memory that statistics take.")
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--count", type=int, help="print the peak of this process for so many images, and stop")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.count:
        gather("features", map(View, rows(asked.count, asked.features, asked.batch, 1)))
        print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    few, many = (peak(count, asked.features, asked.batch, asked.threads) for count in (FEW, MANY))
    print(f"{asked.features} features: {size(few)} for {FEW:,} images, {size(many)} for {MANY:,}")


if __name__ == "__main__":
    main()
