"""Noise levels: tables to train on, and walks through them to sample along.

A level is s = sigma_t / alpha_t (see the package's head); the variance-preserving path of Ho et al.
(2020, arXiv:2006.11239) has alpha_bar_t = 1 / (1 + s_t^2). A table is a rising tensor, a walk a
falling one that ends at zero. Both are made in float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triptych.errors import UsageError

STEPS = 1000  # for which the paper's betas are meant


def linear(steps: int = STEPS, low: float = 1e-4, high: float = 0.02) -> Tensor:
    """The levels s_1 < ... < s_T of betas on a straight line, (T,) (Ho et al. 2020, section 4).

    With fewer or more than 1000 steps the betas grow or shrink, so that the last level stays as
    noisy as it was. Raises a `UsageError` where they would then pass 1.
    """
    scale = STEPS / max(steps, 1)
    if high * scale >= 1:
        raise UsageError(f"A table of {steps} noise levels is too short; give more than {int(high * STEPS)}.")
    betas = torch.linspace(low * scale, high * scale, steps, dtype=torch.float64)
    return torch.expm1(-torch.log1p(-betas).cumsum(0)).sqrt()


def straight(steps: int = STEPS) -> Tensor:
    """The levels s = t / (1 - t) of times t on an even grid inside (0, 1), (T,), for `scaling.flow`.

    Pure noise, t = 1, would be s = infinity; the last level is s = T, where a share 1 / (T + 1) of the
    image is left. Raises a `UsageError` for fewer than two.
    """
    if steps < 2:
        raise UsageError(f"A table of {steps} noise levels is too short; give 2 or more.")
    at = torch.arange(1, steps + 1, dtype=torch.float64)
    return at / (steps + 1 - at)


def walk(table: Tensor, steps: int) -> Tensor:
    """From the top of a table down to zero in `steps` even strides, (steps + 1,).

    Raises a `UsageError` where the table has fewer levels than that, or `steps` is under 1.
    """
    if not 1 <= steps <= len(table):
        raise UsageError(f"Sampling was asked to take {steps} steps; give 1 to {len(table)}.")
    places = torch.linspace(len(table), 0, steps + 1, dtype=torch.float64).round().long()
    return torch.cat([torch.zeros(1, dtype=torch.float64), table.double().cpu()])[places]


def place(table: Tensor, s: Tensor) -> Tensor:
    """Where levels (B,) stand in a table, from 0 to T - 1: the inverse of table[t], linear between."""
    above = torch.searchsorted(table, s.contiguous()).clamp(1, len(table) - 1)
    low, high = table[above - 1], table[above]
    return (above - 1 + (s - low) / (high - low)).clamp(0, len(table) - 1)
