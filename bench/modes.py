"""Do the adversarial losses hold every mode of data in the plane? Eight normals on a ring, 25 on a grid.

    python -m bench.modes [--problem ring|grid] [--losses wgan-gp,r3gan] [--seeds 10] [--out FILE.json]

Srivastava et al. 2017 (arXiv:1705.07761, section 5.1), brought to unit variance: points are images of one
pixel row, (1, 1, 2), and small fully connected networks play against each other in the ordinary loop.

held     modes with at least 20 of 2,500 samples within three standard deviations
near     share of samples within three standard deviations of a mode; of the data themselves 1 - exp(-9/2)
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from triptych import chance
from triptych.chance import Draw
from triptych.core import Batch
from triptych.gan.critic import Critic
from triptych.gan.games import Game, relativistic, wasserstein
from triptych.gan.model import Generator
from triptych.gan.objective import Adversarial
from triptych.gan.penalties import Weighed, gradient, r1_r2
from triptych.ramps import cosine
from triptych.training.ema import Ema
from triptych.training.loop import train
from triptych.training.optimisers import adam
from triptych.training.state import Cast, State

SAMPLES, ENOUGH, REACH = 2500, 20, 3.0  # of a judgement; samples that hold a mode; standard deviations
LATENT, WIDTH = 8, 128


class Modes(NamedTuple):
    """Normals of one standard deviation in the plane, all as likely."""

    centres: Tensor  # (M, 2)
    deviation: float

    def points(self, count: int, generator: torch.Generator) -> Tensor:
        """Fresh points (count, 2)."""
        which = torch.randint(len(self.centres), (count,), generator=generator)
        return self.centres[which] + self.deviation * torch.randn(count, 2, generator=generator)


def ring() -> Modes:
    """Eight on a circle: radius 2 and deviation 0.02, over sqrt(2)."""
    angles = torch.arange(8) * math.tau / 8
    return Modes(2 / math.sqrt(2) * torch.stack([angles.cos(), angles.sin()], 1), 0.02 / math.sqrt(2))


def grid() -> Modes:
    """Five by five at distance 2 and deviation 0.05, over sqrt(8)."""
    places = torch.tensor(list(itertools.product((-4.0, -2.0, 0.0, 2.0, 4.0), repeat=2)))
    return Modes(places / math.sqrt(8), 0.05 / math.sqrt(8))


class Loss(NamedTuple):
    """A game with the penalty and the pace that belong to it."""

    game: Game
    penalty: Weighed
    critic_steps: int
    batch: int
    steps: int
    rate: float

    @property
    def images(self) -> int:
        """The images of a training."""
        return self.batch * self.steps


PROBLEMS = {"ring": ring, "grid": grid}
LOSSES = {
    "wgan-gp": Loss(wasserstein, gradient(0.3), 3, 64, 36_000, 3e-3),
    "r3gan": Loss(relativistic, r1_r2(0.02), 1, 64, 12_000, 3e-3),
}


class Points:
    """An endless order of batches, each drawn when it is asked for and keyed by the images seen."""

    def __init__(self, modes: Modes, seed: int, size: int) -> None:
        self.modes, self.seed, self.size = modes, seed, size

    def batch(self, seen: int) -> Batch:
        points = self.modes.points(self.size, chance.generator(self.seed, seen, "points"))
        return Batch(points[:, None, None, :])  # (B, 1, 1, 2)


def layers(inside: int, depth: int) -> nn.Sequential:
    """Linear layers of WIDTH with ReLUs behind them, (B, inside) -> (B, WIDTH): what is to be sharp needs corners."""
    sizes = [inside] + [WIDTH] * depth
    pairs = [(nn.Linear(*pair), nn.ReLU()) for pair in itertools.pairwise(sizes)]
    return nn.Sequential(nn.Flatten(), *itertools.chain(*pairs))


def players(loss: Loss, seed: int) -> tuple[Generator, Adversarial]:
    """The two players at their first weights."""
    chance.reseed(seed, "model")
    paint = nn.Sequential(layers(LATENT, 3), nn.Linear(WIDTH, 2), nn.Unflatten(1, (1, 1, 2)))
    critic = Critic(layers(2, 3), WIDTH)
    return Generator(paint, (1, 1, 2), LATENT), Adversarial(critic, loss.game, loss.penalty, loss.critic_steps)


def judged(points: Tensor, modes: Modes) -> dict[str, Any]:
    """Which modes points (N, 2) hold, and how many of the points are at any."""
    distance, nearest = torch.cdist(points, modes.centres).min(1)  # (N,), (N,)
    near = distance <= REACH * modes.deviation
    hits = nearest[near].bincount(minlength=len(modes.centres))
    return {"held": int((hits >= ENOUGH).sum()), "modes": len(hits), "near": float(near.float().mean())}


def play(problem: str, name: str, seed: int) -> dict[str, Any]:
    """Train one pair of players and judge the averaged generator."""
    modes, loss = PROBLEMS[problem](), LOSSES[name]
    model, objective = players(loss, seed)
    turns = objective.turns(model)
    fall = cosine(loss.images, warm=loss.images // 50)
    optimisers = {turn.name: adam(loss.rate, (0.0, 0.99), ramp=fall)(turn.moves) for turn in turns}
    cast, state = Cast(model, objective, optimisers, Ema(model, loss.images // 50, 0.05)), State(seed)
    train(
        cast,
        turns,
        Points(modes, seed, loss.batch),
        state,
        lambda s: s.seen >= loss.images,
        [],
        lambda *_: None,
        nullcontext,
    )
    with torch.no_grad():
        made = cast.shown.sample(Draw(range(SAMPLES))).flatten(1)  # (N, 2)
    return {"problem": problem, "loss": name, "seed": seed, **judged(made, modes), "seconds": state.seconds}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as aligned text."""
    lines = [f"{'problem':8}{'loss':10}{'seed':>5}{'held':>9}{'near':>9}{'seconds':>9}"]
    for row in rows:
        held = f"{row['held']} of {row['modes']}"
        lines.append(
            f"{row['problem']:8}{row['loss']:10}{row['seed']:5}{held:>9}{row['near']:9.4f}{row['seconds']:9.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.modes", description="Count the modes that adversarial losses hold.")
    parser.add_argument("--problem", choices=PROBLEMS, action="append", help="default: both")
    parser.add_argument("--losses", default=",".join(LOSSES), help="names, with commas")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    asked = parser.parse_args()
    names = asked.losses.split(",")
    if unknown := set(names) - set(LOSSES):
        parser.error(f"there is no loss {', '.join(sorted(unknown))}; there are {', '.join(LOSSES)}")
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for problem, name, seed in itertools.product(asked.problem or PROBLEMS, names, range(asked.seeds)):
        rows.append(play(problem, name, seed))
        print(table(rows[-1:]).splitlines()[-1] if rows[1:] else table(rows), flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
