"""Floating-point operations of training and of sampling, counted while they run (a multiply-add is two).

Matrix products, convolutions and attention are counted, forward and backward; the cheap rest is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from triptych.core import Model
from triptych.data import Splits
from triptych.run import build
from triptych.sampling import generate
from triptych.screen import Screen
from triptych.training.loop import train

TOGETHER = 8  # images in a counted batch
MOST_STEPS = 16  # counted where some turns are not played at each step


def of_training(tree: Mapping[str, Any], splits: Splits) -> float:
    """FLOPs for each training image, all turns together, of the recipe `tree`; trains a copy for a few steps."""
    small = {**tree, "batch": min(tree["batch"], TOGETHER)}
    run = build(Path(), small, splits, torch.device("cpu"), Screen(quiet=True))
    steps = min(MOST_STEPS, math.lcm(*(turn.every for turn in run.turns)))
    with FlopCounterMode(display=False) as counter:
        train(
            run.cast, run.turns, run.stream, run.state, lambda state: state.steps >= steps, [],
            lambda turn, stats: None, nullcontext,
        )  # fmt: skip
    return float(counter.get_total_flops()) / run.state.seen


def of_sampling(model: Model, **how: Any) -> float:
    """FLOPs for each generated image."""
    with FlopCounterMode(display=False) as counter:
        for _ in generate(model, range(2), **how):
            pass
    return float(counter.get_total_flops()) / 2
