"""Mean and covariance of a stream of feature vectors, in float64, in memory that does not grow with it.

Notation: n vectors seen, D features, m their mean (D,), S = sum (x - m)(x - m)^T their scatter (D, D).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor


class Moments(NamedTuple):
    """The first two moments of n vectors; two of them add up to those of both streams together."""

    n: int
    mean: Tensor  # (D,) float64
    scatter: Tensor  # (D, D) float64

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """The moments of vectors (B, D); NaN as their scatter where a value is not finite, as then is their mean."""
        x = features.detach().cpu()
        mean = x.mean(0, dtype=torch.float64)
        if not torch.isfinite(mean).all():
            return cls(len(x), mean, torch.full((len(mean), len(mean)), math.nan, dtype=torch.float64))
        centred = (x - mean).numpy()  # float64, as the mean
        scatter = centred.T @ centred  # NumPy sees the symmetry and does half the work; torch does not
        return cls(len(x), mean, torch.from_numpy(scatter))

    def __add__(self, other: Moments) -> Moments:  # type: ignore[override]
        """Chan, Golub and LeVeque 1983, equation 2.1: no large sums are subtracted from each other."""
        n = self.n + other.n
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.n / n)
        scatter = torch.addr(self.scatter + other.scatter, apart, apart, alpha=self.n * other.n / n)
        return Moments(n, mean, scatter)

    @property
    def covariance(self) -> Tensor:
        """S / (n - 1), (D, D)."""
        return self.scatter / (self.n - 1)
