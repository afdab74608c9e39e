"""Distances between Gaussian features that are known, and what a finite number of images adds to them."""

from __future__ import annotations

import torch
from torch import Tensor


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def frechet_bias(d: int, n: int, m: int) -> float:
    """Of n and m rows of N(0, I) in d dimensions, whose distance is 0: (1 / n + 1 / m) (d + d (d + 1) / 4)."""
    return (1 / n + 1 / m) * (d + d * (d + 1) / 4)


def cubic_mean(a: Tensor, b: Tensor) -> float:
    """E (x.y / d + 1)^3 for x from N(a, I), y from N(b, I)."""
    d = len(a)
    c = float(a @ b) / d
    v = (d + float(a @ a + b @ b)) / d**2
    return (1 + c) ** 3 + 3 * (1 + c) * v + 6 * float(a @ b) / d**3


def cubic_distance(a: Tensor, b: Tensor) -> float:
    """The kernel distance between N(a, I) and N(b, I)."""
    return cubic_mean(a, a) + cubic_mean(b, b) - 2 * cubic_mean(a, b)
