"""Quality against network evaluations: every sampler of a trained model, at few steps and many.

    python -m bench.samplers RUN [-n 2000] [--samplers ddim,heun,...] [--schedules karras,...] [--steps 4,6,8,10,20,50]

The schedule `fitted` is fitted to the model first, for each sampler and number of steps, as `triptych schedule` does.

RUN is a run of the diffusion family. FD-bundled is taken against the training images of the run, with the same seeds
for every row; the first row is the paper's own sampler, ancestral, at every level of the table.

evaluations  how often the network was asked for an image, counted
ratio        FD-bundled over that of the first row
images/s     of sampling, on this machine
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import triptych
from triptych.chance import Draw
from triptych.core import Model
from triptych.data import open_data
from triptych.errors import UsageError
from triptych.evaluation import reference, summarise
from triptych.extractors import extractor
from triptych.metrics import fid
from triptych.sampling import at_rest, chooser, generate, labels_for

BATCH = 250


class Counter:
    """How many images a network was shown."""

    def __init__(self, net: nn.Module) -> None:
        self.images = 0
        net.register_forward_hook(self._count)

    def _count(self, net: nn.Module, shown: tuple[Any, ...], answer: Any) -> None:
        self.images += len(answer)


class Judge:
    """FD-bundled of a model's images, made in one way and another."""

    def __init__(self, model: Model, images: int) -> None:
        self.model, self.images, self.look = model, images, extractor("bundled", "cpu")
        data = model.recipe["data"]
        shape = data["image_shape"]
        source = open_data(data["where"], size=(shape[1], shape[2]), channels=shape[0], fit=data["fit"]).train
        self.real = reference(source, "train", self.look)
        self.counter = Counter(chooser(model).net)  # type: ignore[arg-type]

    def row(self, sampler: str, schedule: str, steps: int) -> dict[str, Any]:
        """What comes of one way of sampling."""
        how: dict[str, Any] = {"sampler": sampler, "schedule": schedule, "steps": steps}
        if schedule == "fitted":
            how = {"sampler": sampler, "schedule": self._fitted(sampler, steps)}
        self.counter.images, start = 0, time.perf_counter()
        made = list(generate(self.model, range(self.images), batch=BATCH, **how))
        seconds, asked = time.perf_counter() - start, self.counter.images / self.images
        distance = fid.frechet(self.real.moments, summarise(iter(made), self.look, most=0).moments)
        return {
            **{"sampler": sampler, "schedule": schedule, "steps": steps, "evaluations": asked, "distance": distance},
            "images_per_second": self.images / seconds,
        }

    @torch.no_grad()
    def _fitted(self, sampler: str, steps: int) -> Tensor:
        """Levels (steps + 1,) for this model, fitted on seeds that are not judged."""
        model, seeds = chooser(self.model), range(1_000_000, 1_000_256)
        with at_rest(model):
            levels: Tensor = model.fitted(Draw(seeds), labels_for(list(seeds), model.classes), sampler, steps)[0]  # type: ignore[attr-defined]
        return levels


def rows(
    judge: Judge, samplers: Iterable[str], schedules: Iterable[str], steps: Iterable[int]
) -> Iterable[dict[str, Any]]:
    """The paper's row, then each sampler on each schedule with each number of steps; what cannot be is left out."""
    yield judge.row(sampler="ancestral", schedule="uniform", steps=len(chooser(judge.model).table))  # type: ignore[arg-type]
    for sampler in samplers:
        for schedule in schedules:
            for number in steps:
                try:
                    yield judge.row(sampler=sampler, schedule=schedule, steps=number)
                except UsageError as error:
                    print(f"  {sampler}, {schedule}, {number}: {error}")


def line(row: dict[str, Any], first: dict[str, Any]) -> str:
    """A row as aligned text."""
    return (
        f"{row['sampler']:16}{row['schedule']:10}{row['steps']:6}{row['evaluations']:12.0f}{row['distance']:12.4f}"
        f"{row['distance'] / first['distance']:8.2f}{row['images_per_second']:10.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.samplers", description="Quality against network evaluations.")
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", type=int, default=2000, help="images of each row")
    parser.add_argument("--samplers", default="ddim,heun,dpm++2m,unipc,ipndm")
    parser.add_argument("--schedules", default="karras")
    parser.add_argument("--steps", default="4,6,8,10,20,50")
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    judge = Judge(triptych.load(asked.run), asked.n)
    wanted = asked.samplers.split(","), asked.schedules.split(","), [int(n) for n in asked.steps.split(",")]
    print(f"{'sampler':16}{'schedule':10}{'steps':>6}{'evaluations':>12}{'FD-bundled':>12}{'ratio':>8}{'images/s':>10}")
    found: list[dict[str, Any]] = []
    for row in rows(judge, *wanted):
        found.append(row)
        print(line(row, found[0]), flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
