"""How many of 1,000 modes does a model hold, and how evenly? Three real digits in three colour channels.

    python -m bench.stacked [--models dcgan,r3gan] [--for 3min] [--seeds 3] [--out FILE.json]

Metz et al. 2017 (arXiv:1611.02163, section 3.3.1) with the bundled 8x8 digits: each training image is drawn when it is
asked for. Every model trains for equal time under its recipe for digits; its averaged weights are judged.

modes    numbers from 000 to 999 among 26,000 samples, each channel read by a classifier of real digits
kl       KL(samples' numbers || uniform) in nats; about 999 / (2 x 26,000) = 0.019 where they are uniform

The first row is a control: real digits, stacked afresh.
"""

from __future__ import annotations

import argparse
import itertools
import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.digits import judges, reals, to_pixels
from triptych import chance, devices, recipe, schema
from triptych.core import Batch
from triptych.data import open_data
from triptych.pixels import to_float
from triptych.run import Budget
from triptych.sampling import generate
from triptych.training.ema import Ema
from triptych.training.loop import train
from triptych.training.state import Cast, State

SAMPLES, MODES = 26_000, 1000
SHAPE = (3, 8, 8)


class Stacked:
    """An endless order of stacked digits, each drawn when it is asked for and keyed by the images seen."""

    def __init__(self, seed: int, size: int) -> None:
        source = open_data("digits").train
        self.digits = source.read(range(len(source))).images[:, 0]  # (N, 8, 8) uint8
        self.seed, self.size = seed, size

    def drawn(self, seen: int) -> Tensor:
        """uint8 images (B, 3, 8, 8)."""
        draws = chance.generator(self.seed, seen, "stacked")
        return self.digits[torch.randint(len(self.digits), (self.size, 3), generator=draws)]

    def batch(self, seen: int) -> Batch:
        return Batch(to_float(self.drawn(seen)))


def numbers(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The number from 0 to 999 that each image (N, 3, 8, 8) shows, the first channel its hundreds."""
    judge = judges()[0]
    digits = [judge.predict(to_pixels(np.ascontiguousarray(images[:, channel]))) for channel in range(3)]
    found: NDArray[np.int64] = np.stack(digits, 1).astype(np.int64) @ np.array([100, 10, 1])
    return found


def spread(found: NDArray[np.int64]) -> dict[str, Any]:
    """Modes held, and KL(found || uniform) in nats, of numbers (N,) from 0 to 999."""
    shares = np.bincount(found, minlength=MODES) / len(found)
    held = shares[shares > 0]
    return {"modes": len(held), "kl": float((held * np.log(held * MODES)).sum())}


def build(name: str, seed: int) -> tuple[Cast, int]:
    """The players of a recipe at their first weights, and its batch size."""
    tree, facts = schema.complete(recipe.read(name, "digits")), {"image_shape": SHAPE, "classes": 0}
    chance.reseed(seed, "model")
    model = schema.build("model", tree["model"], facts)
    chance.reseed(seed, "objective")
    objective = schema.build("objective", tree["objective"], facts)
    nodes = tree["optimisers"]
    optimisers = {t.name: schema.build("optimiser", nodes[t.name], facts)(t.moves) for t in objective.turns(model)}
    return Cast(model, objective, optimisers, Ema(model, **tree["ema"]) if tree["ema"] else None), tree["batch"]


def play(name: str, seed: int, budget: Budget) -> dict[str, Any]:
    """Train a model and judge its samples."""
    cast, size = build(name, seed)
    state, turns = State(seed), cast.objective.turns(cast.model)
    train(cast, turns, Stacked(seed, size), state, budget.spent, [], lambda *_: None, nullcontext)
    images = torch.cat([batch.images for batch in generate(cast.shown, range(SAMPLES), batch=500)]).numpy()
    return {"model": name, "seed": seed, **spread(numbers(images)), "images": state.seen, "seconds": state.seconds}


def control() -> dict[str, Any]:
    """Real digits, judged as samples are."""
    images = Stacked(-1, SAMPLES).drawn(0).numpy()
    return {"model": "real", "seed": 0, **spread(numbers(images)), "images": 0, "seconds": 0.0}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as aligned text."""
    lines = [f"{'model':12}{'seed':>5}{'modes':>7}{'kl':>8}{'images':>10}{'seconds':>9}"]
    for row in rows:
        counts = f"{row['seed']:5}{row['modes']:7}{row['kl']:8.3f}{row['images']:10,}"
        lines.append(f"{row['model']:12}{counts}{row['seconds']:9.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.stacked", description="Count the modes of stacked digits.")
    parser.add_argument("--models", default="dcgan,r3gan", help="names of the catalogue, with commas")
    parser.add_argument("--for", dest="span", default="3min", help="training time of each model")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    asked = parser.parse_args()
    budget, names = Budget.of(None, asked.span), asked.models.split(",")
    for name in names:
        recipe.about(name)  # a wrong name fails here
    real = reals()
    print(f"The classifier is right on {judges()[0].score(real.held, real.held_labels):.4f} of held-out digits.")
    rows = [control()]
    print(table(rows), flush=True)
    with devices.threads_for(SHAPE[1:], torch.device("cpu")):
        for name, seed in itertools.product(names, range(asked.seeds)):
            rows.append(play(name, seed, budget))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            if asked.out:
                asked.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
