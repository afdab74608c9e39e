"""Triptych's side of a contest: whole steps of the training loop, as a recipe says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from torch import Tensor

from bench.work import Work, images
from triptych import devices, recipe, run, schema
from triptych.data import Splits
from triptych.data.arrays import ArraySource
from triptych.pixels import to_uint8
from triptych.screen import Screen
from triptych.settling import settled
from triptych.training.loop import train
from triptych.ways import region


def splits_of(x: Tensor) -> Splits:
    """Images (B, C, H, W) in [-1, 1] as a set of their own."""
    source = ArraySource(to_uint8(x).cpu().numpy())
    return Splits(source, source, source, "bench", {})


def built(name: str, batch: int, side: int, device: str, changes: Iterable[str] = ()) -> run.Run:
    """A run of the recipe `name` on images of noise, as `triptych train --for 10min` builds it.

    Precision and compiling are what it finds to be fastest here, and remembers.
    """
    splits = splits_of(images(batch, side, "cpu"))
    tree = {
        "name": name,
        "seed": 0,
        **schema.complete(recipe.read(name, "bench", changes=[*changes, f"batch={batch}"])),
    }
    tree["data"] = {"image_shape": list(splits.train.image_shape), "class_names": []}
    folder, where, screen = Path("nowhere"), devices.pick(device), Screen(quiet=True)
    tree = settled(run.Budget.of(None, "10min"), screen)(tree, splits, where, folder)
    return run.build(folder, tree, splits, where, screen)


def step_of(built: run.Run) -> Callable[[], None]:
    """A whole step of the loop: batch, turns, optimisers, moving average."""

    def step() -> None:
        goal = built.state.steps + 1
        train(
            built.cast, built.turns, built.stream, built.state, lambda state: state.steps >= goal, [],
            lambda turn, stats: None, lambda: region(built.tree, built.device),
        )  # fmt: skip

    return step


def training(name: str, batch: int, side: int, device: str, changes: Iterable[str] = ()) -> Work:
    """The steps of a recipe."""
    made = built(name, batch, side, device, changes)
    how = made.tree["precision"] + ", compiled" * made.tree["compile"]
    return Work(step_of(made), batch, "triptych", (made.cast.model, made.cast.objective), how)
