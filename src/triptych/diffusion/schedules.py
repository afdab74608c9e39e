"""Schedules: which levels a sampler walks through, from the top of a path's table down to zero.

Each gives steps + 1 falling levels in float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from triptych.errors import UsageError


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


def _enough(steps: int) -> None:
    if steps < 1:
        raise UsageError(f"Sampling was asked to take {steps} steps; give 1 or more.")
