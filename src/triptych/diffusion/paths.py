"""Paths: how an image becomes noise, as a table of levels and the share of the image that is left.

A path x_t = alpha_t x + sigma_t n is, over alpha_t, the clean image with s_t = sigma_t / alpha_t times noise on
top (see the package's head). So a path is the rising levels s_1 < ... < s_T at even times, and alpha as a
function of s. A walk is a falling tensor that ends at zero. Both are made in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.errors import UsageError

STEPS = 1000  # for which the paper's betas are meant
OFFSET, MOST = 0.008, 0.999  # of the cosine's start; of a beta (Nichol and Dhariwal 2021, section 3.2)


class Path(NamedTuple):
    """Levels (T,), rising, and alpha of levels: x_t = alpha(s) y, y = x + s n."""

    table: Tensor
    alpha: Callable[[Tensor], Tensor]


def preserving(s: Tensor) -> Tensor:
    """alpha where alpha^2 + sigma^2 = 1: the variance of images of variance 1 stays."""
    return (1 + s.square()).rsqrt()


def even(s: Tensor) -> Tensor:
    """alpha where alpha + sigma = 1: the straight line from image to noise."""
    return 1 / (1 + s)


def linear(steps: int = STEPS, low: float = 1e-4, high: float = 0.02) -> Path:
    """Betas on a straight line, variance preserving (Ho et al. 2020, arXiv:2006.11239, section 4).

    With fewer or more than 1000 steps the betas grow or shrink, so that the last level stays as
    noisy as it was. Raises a `UsageError` where they would then pass 1.
    """
    scale = STEPS / max(steps, 1)
    if not 0 < low <= high or high * scale >= 1:
        raise UsageError(
            f"path: no {steps} noise levels have betas from {low} to {high}, over {scale:.3g}: give "
            f"0 < low <= high and more than {int(abs(high) * STEPS)} steps."
        )
    betas = torch.linspace(low * scale, high * scale, steps, dtype=torch.float64)
    return Path(_of_betas(betas), preserving)


def cosine(steps: int = STEPS) -> Path:
    """alpha^2 a squared cosine of time (Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17)."""
    _enough(steps)
    angles = (torch.arange(steps + 1, dtype=torch.float64) / steps + OFFSET) / (1 + OFFSET) * math.pi / 2
    left = angles.cos().square()
    return Path(_of_betas((1 - left[1:] / left[:-1]).clamp(max=MOST)), preserving)


def straight(steps: int = STEPS) -> Path:
    """The levels s = t / (1 - t) of times t on an even grid inside (0, 1): rectified flow.

    (Liu et al. 2022, arXiv:2209.03003, equation 1; Lipman et al. 2022, arXiv:2210.02747, section 4.1.) Pure noise,
    t = 1, would be s = infinity; the last level is s = T, where a share 1 / (T + 1) of the image is left.
    """
    _enough(steps)
    at = torch.arange(1, steps + 1, dtype=torch.float64)
    return Path(at / (steps + 1 - at), even)


def exploding(steps: int = STEPS, low: float = 0.002, high: float = 80.0) -> Path:
    """Levels from `low` to `high`, each the same multiple of the one before; the image is never made smaller.

    The variance exploding path of Song et al. (2021, arXiv:2011.13456, equation 31), in the range of Karras et al.
    (2022, arXiv:2206.00364, table 1).
    """
    _enough(steps)
    if not 0 < low < high:
        raise UsageError(f"path: levels from {low} to {high} do not rise; give 0 < low < high.")
    table = torch.linspace(math.log(low), math.log(high), steps, dtype=torch.float64).exp()
    return Path(table, torch.ones_like)


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


def _of_betas(betas: Tensor) -> Tensor:
    """The levels of the share of variance that each step replaces: alpha_bar = prod(1 - beta) = 1 / (1 + s^2)."""
    return torch.expm1(-torch.log1p(-betas).cumsum(0)).sqrt()


def _enough(steps: int) -> None:
    if steps < 2:
        raise UsageError(f"path: a table of {steps} noise levels is too short; give 2 steps or more.")
