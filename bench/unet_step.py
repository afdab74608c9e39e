"""Training images a second of the ddpm recipe at 32 px, beside the same network of diffusers.

    python -m bench.unet_step [--batch 32] [--rounds 9] [--threads 2]    # needs `pip install diffusers`

Both networks have the architecture of Ho et al. (2020) and as many parameters, both are trained in
float32 on the same batch, with the same dropout and gradient clipping. Ours takes a whole step of
the training loop, with noise, loss, AdamW and moving average; theirs takes the usual step of their
tutorials, without a moving average. The steps alternate; medians are compared.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor
from torch.nn.functional import mse_loss

from triptych import recipe, schema
from triptych.core import Batch
from triptych.training.ema import Ema
from triptych.training.loop import train
from triptych.training.state import Cast, State

SHAPE = (3, 32, 32)
FACTS = {"image_shape": SHAPE, "classes": 0}


class One:
    """A stream of one batch."""

    def __init__(self, images: Tensor) -> None:
        self._batch = Batch(images)

    def batch(self, seen: int) -> Batch:
        return self._batch


def ours(images: Tensor, tree: dict[str, Any]) -> tuple[Callable[[], None], int]:
    """A step of our loop, as the recipe says, and the number of parameters."""
    model, objective = (schema.build(role, tree[role], FACTS) for role in ("model", "objective"))
    turns = objective.turns(model)
    optimisers = {t.name: schema.build("optimiser", tree["optimisers"][t.name], FACTS)(t.moves) for t in turns}
    cast = Cast(model, objective, optimisers, Ema(model, **tree["ema"]))
    state, stream = State(seed=0), One(images)

    def step() -> None:
        goal = state.steps + 1
        train(cast, turns, stream, state, lambda s: s.steps >= goal, [], lambda *_: None, contextlib.nullcontext)

    return step, sum(p.numel() for p in model.parameters())


def theirs(images: Tensor, tree: dict[str, Any]) -> tuple[Callable[[], None], int]:
    """A step of their usual loop on the same network, and the number of parameters."""
    says = tree["model"]
    model = UNet2DModel(
        sample_size=SHAPE[1:],
        in_channels=SHAPE[0],
        out_channels=SHAPE[0],
        layers_per_block=says["blocks"],
        block_out_channels=tuple(says["width"] * multiplier for multiplier in says["multipliers"]),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        dropout=says["dropout"],
    )
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-4)

    def step() -> None:
        noise = torch.randn_like(images)
        times = torch.randint(0, 1000, (len(images),))
        noisy = scheduler.add_noise(images, noise, times)
        loss = mse_loss(model(noisy, times, return_dict=False)[0], noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return step, sum(p.numel() for p in model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.unet_step", description="Our training step beside diffusers'.")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    images = torch.rand(asked.batch, *SHAPE) * 2 - 1
    tree = schema.complete(recipe.read("ddpm", "bench"))
    sides = {"triptych": ours(images, tree), "diffusers": theirs(images, tree)}
    spans: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(asked.rounds + 1):
        for name, (step, _) in sides.items():
            start = time.perf_counter()
            step()
            spans[name].append(time.perf_counter() - start)
    speeds = {}
    for name, (_, parameters) in sides.items():
        rest = sorted(spans[name][1:])  # the first round warms up
        speeds[name] = asked.batch / statistics.median(rest)
        span = f"{rest[0]:.2f} to {rest[-1]:.2f} s a step"
        print(f"{name:10} {parameters:9,} parameters {speeds[name]:7.2f} images/s   ({span})")
    print(f"ratio      {speeds['triptych'] / speeds['diffusers']:.2f}")


if __name__ == "__main__":
    main()
