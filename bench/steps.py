"""Quality against steps: how far the images of each run are from real ones, and how fast they are made.

    python -m bench.steps RUN... [--steps 1,2,4,8,18] [--sampler NAME] [--schedule NAME] [-n 2000] [--out FILE.json]

One row for each run and number of steps, with its own sampler and schedule or those that are named. A first row with
the run's own way is its teacher's, where the run is one.

FD         FD-bundled of so many samples at seeds 0, 1, ... against all training images
evaluations  of the network for each image
images/s   by processor time of one thread, so that a busy machine does not count
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

import triptych
from triptych import store
from triptych.core import Batch, Model
from triptych.data import open_data
from triptych.evaluation import reference, summarise
from triptych.extractors import extractor
from triptych.metrics import fid

DOUBLE = ("heun",)  # samplers that ask twice a step, but for the last


def evaluations(sampler: str, steps: int) -> int:
    """How often the network is asked for one image."""
    return 2 * steps - 1 if sampler in DOUBLE else steps


def made(model: Model, n: int, **how: Any) -> tuple[list[Batch], float]:
    """So many images and the seconds of processor time that they took."""
    start = time.process_time()
    batches = list(triptych.generate(model, range(n), batch=128, **how))
    return batches, time.process_time() - start


def judged(run: Path, steps: Sequence[int | None], n: int, **how: Any) -> Iterator[dict[str, Any]]:
    """A row for each number of steps; None is the run's own."""
    model, look = store.load(run), extractor("bundled", torch.device("cpu"))
    real = reference(open_data(store.read_recipe(run)["data"]["where"]).train, "train", look)
    asked = {name: value for name, value in how.items() if value}
    for count in steps:
        batches, seconds = made(model, n, **asked, **({"steps": count} if count else {}))
        own: Any = model
        sampler, taken = how["sampler"] or own.sampler, count or own.steps
        yield {
            "run": str(run),
            "sampler": sampler,
            "steps": taken,
            "evaluations": evaluations(sampler, taken),
            "distance": fid.frechet(real.moments, summarise(batches, look, most=0).moments),
            "images_per_second": n / seconds,
        }


def line(row: dict[str, Any]) -> str:
    """A row as aligned text."""
    figures = f"{row['steps']:7}{row['evaluations']:13}{row['distance']:9.3f}{row['images_per_second']:11,.0f}"
    return f"{row['run'][-28:]:30}{row['sampler']:13}{figures}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.steps", description="Quality against steps.")
    parser.add_argument("runs", nargs="+", type=Path, help="run folders")
    parser.add_argument("--steps", default="own", help="with commas; own: the run's")
    parser.add_argument("--sampler")
    parser.add_argument("--schedule")
    parser.add_argument("-n", type=int, default=2000, help="samples of each row")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    asked = parser.parse_args()
    steps = [None if word == "own" else int(word) for word in asked.steps.split(",")]
    print(f"{'run':30}{'sampler':13}{'steps':>7}{'evaluations':>13}{'FD':>9}{'images/s':>11}", flush=True)
    rows = []
    for run in asked.runs:
        for row in judged(run, steps, asked.n, sampler=asked.sampler, schedule=asked.schedule):
            rows.append(row)
            print(line(row), flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
