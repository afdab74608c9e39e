"""Floating-point operations of training and of sampling, counted while they run (a multiply-add is two).

Matrix products, convolutions and attention are counted, forward and backward; the cheap rest is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from triptych.core import Model
from triptych.data import Splits
from triptych.run import build
from triptych.sampling import generate
from triptych.screen import Screen
from triptych.training.loop import train
from triptych.training.state import State

TOGETHER = 2  # images in a counted batch
STEPS = 16  # counted: turns that are not played, and penalties that are not taken, at each step have their share
for way in ("", "_backward"):  # attention on CPUs has no formula of its own
    cpu, gpu = (
        getattr(torch.ops.aten, f"_scaled_dot_product_flash_attention{where}{way}") for where in ("_for_cpu", "")
    )
    flop_registry.setdefault(cpu, flop_registry[gpu])


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what PyTorch's own formulas say of each operation while it is entered.

    PyTorch's `FlopCounterMode` also follows the modules, which fails where a gradient is taken inside of a loss.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        formula: Callable[..., int] | None = flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:  # what is made of other operations counts as those
                found = func.decompose(*args, **named)
            if found is not NotImplemented:
                return found
        out = func(*args, **named)
        self.total += 0 if formula is None else formula(*args, **named, out_val=out)
        return out


class Course(NamedTuple):
    """What a training image costs; where turns begin or end for good, that changes."""

    starts: tuple[int, ...]  # images seen, rising from 0
    each: tuple[float, ...]  # FLOPs an image from there on

    def mean(self, images: int) -> float:
        """FLOPs an image over the first so many images."""
        ends = (*self.starts[1:], images)
        spent = [
            cost * max(0, min(end, images) - start)
            for start, end, cost in zip(self.starts, ends, self.each, strict=True)
        ]
        return sum(spent) / images

    def images(self, flops: float) -> int:
        """How many images so many FLOPs train, at least 1."""
        seen = 0.0
        for start, end, cost in zip(self.starts, (*self.starts[1:], math.inf), self.each, strict=True):
            part = min(flops / cost, end - start)
            seen, flops = seen + part, flops - part * cost
        return max(1, round(seen))


def of_training(tree: Mapping[str, Any], splits: Splits) -> Course:
    """FLOPs for each training image, all turns together, of the recipe `tree`; trains a copy for a few steps."""
    small = {**tree, "compile": False, "batch": min(tree["batch"], TOGETHER)}
    run = build(Path(), small, splits, torch.device("cpu"), Screen(quiet=True))
    starts = sorted({0, *(int(seen) for turn in run.turns for seen in turn.span if seen < math.inf)})
    each = []
    for start in starts:
        state = State(run.state.seed, seen=start)
        with Counter() as counter:
            train(
                run.cast, run.turns, run.stream, state, lambda state: state.steps >= STEPS, [],
                lambda turn, stats: None, nullcontext,
            )  # fmt: skip
        each.append(float(counter.total / (state.seen - start)))
    return Course(tuple(starts), tuple(each))


def of_sampling(model: Model, **how: Any) -> float:
    """FLOPs for each generated image."""
    with Counter() as counter:
        for _ in generate(model, range(2), **how):
            pass
    return float(counter.total / 2)
