"""Schedules: which levels a sampler walks through, from the top of a path's table down to zero.

Each gives steps + 1 falling levels in float64. Those of a few steps can be fitted to a model: what they cost is
some hundred walks of a few hundred images, and no weight changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from triptych.errors import UsageError

STRIDES = (0.5, 0.25, 0.1, 0.04)  # shares of the way to a neighbour
PROGRESS = 0.97  # of the error, under which another round with the same stride is worth while


def karras(table: Tensor, steps: int, rho: float = 7.0) -> Tensor:
    """Even in s^(1 / rho), then zero (Karras et al. 2022, arXiv:2206.00364, equation 5)."""
    _enough(steps)
    high, low = (table[end].double().cpu() ** (1 / rho) for end in (-1, 0))
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    return torch.cat([(high + share * (low - high)) ** rho, torch.zeros(1, dtype=torch.float64)])


def log_snr(table: Tensor, steps: int) -> Tensor:
    """Even in the logarithm of s, and so of the signal-to-noise ratio, then zero."""
    _enough(steps)
    high, low = (math.log(table[end].item()) for end in (-1, 0))
    return torch.cat([torch.linspace(high, low, steps, dtype=torch.float64).exp(), torch.zeros(1, dtype=torch.float64)])


def fitted(walk: Callable[[Tensor], Tensor], levels: Tensor, goal: Tensor, low: float) -> tuple[Tensor, float]:
    """Levels, as many as `levels` and from the same top, whose `walk` ends nearer to `goal` (B, ...), and how near.

    The aim is that of Tong et al. (2024, arXiv:2405.15506, section 3), the ends of a walk of many steps; it is reached
    by moving one level after another up or down, a share of the way to its neighbour in ln s, as long as the mean
    square distance falls, with smaller and smaller shares. Levels stay in order and above `low`.
    """

    def apart(tried: Tensor) -> float:
        return float((walk(tried) - goal).square().mean())

    found, error = levels, apart(levels)
    for share in STRIDES:
        before = math.inf
        while error < PROGRESS * before:
            before = error
            for place in range(1, len(levels) - 1):
                for towards in (place - 1, place + 1):
                    tried = _moved(found, place, towards, share, low)
                    if (off := apart(tried)) < error:
                        found, error = tried, off
    return found, math.sqrt(error)


def _moved(levels: Tensor, place: int, towards: int, share: float, low: float) -> Tensor:
    """Levels with one of them moved a share of the way to another, in ln s; zero counts as `low`."""
    here, there = levels[place], levels[towards].clamp(min=low)
    moved = levels.clone()
    moved[place] = here * (there / here) ** share
    return moved


def _enough(steps: int) -> None:
    if steps < 1:
        raise UsageError(f"Sampling was asked to take {steps} steps; give 1 or more.")
