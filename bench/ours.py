"""Triptych's side of a contest: whole steps of the training loop, as a recipe says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from bench.work import Work, images
from triptych import devices, recipe, run, schema
from triptych.data import Splits
from triptych.data.arrays import ArraySource
from triptych.pixels import to_uint8
from triptych.screen import Screen
from triptych.training.loop import train


def splits_of(x: Tensor) -> Splits:
    """Images (B, C, H, W) in [-1, 1] as a set of their own."""
    source = ArraySource(to_uint8(x).cpu().numpy())
    return Splits(source, source, source, "bench", {})


def built(name: str, batch: int, side: int, device: str, changes: Iterable[str] = ()) -> run.Run:
    """A run of the recipe `name` on images of noise, as `triptych train` builds it."""
    splits = splits_of(images(batch, side, "cpu"))
    tree = {
        "name": name,
        "seed": 0,
        **schema.complete(recipe.read(name, "bench", changes=[*changes, f"batch={batch}"])),
    }
    tree["data"] = {"image_shape": list(splits.train.image_shape), "class_names": []}
    return run.build(Path(), tree, splits, torch.device(device), Screen(quiet=True))


def step_of(built: run.Run) -> Callable[[], None]:
    """A whole step of the loop: batch, turns, optimisers, moving average."""

    def step() -> None:
        goal = built.state.steps + 1
        train(
            built.cast, built.turns, built.stream, built.state, lambda state: state.steps >= goal, [],
            lambda turn, stats: None, lambda: devices.autocast(built.device),
        )  # fmt: skip

    return step


def training(name: str, batch: int, side: int, device: str, changes: Iterable[str] = ()) -> Work:
    """The steps of a recipe."""
    made = built(name, batch, side, device, changes)
    return Work(step_of(made), batch, "triptych", (made.cast.model, made.cast.objective), precision(made.device))


def precision(device: torch.device) -> str:
    """The precision of products under triptych's own choice."""
    with devices.autocast(device):
        enabled = torch.is_autocast_enabled(device.type)
    return "bfloat16" if enabled else "float32"
