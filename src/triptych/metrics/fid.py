"""The Frechet distance of two Gaussians, each fitted to the features of one set of images.

    FD = |m_X - m_Y|^2 + tr S_X + tr S_Y - 2 tr (R^T S_Y R)^(1/2),  R R^T = S_X

(Dowson and Landau 1982; Heusel et al. 2017, arXiv:1706.08500, equation 6). The last
matrix is symmetric, so its root follows from real eigenvalues. X real, Y generated; m mean, S covariance.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from triptych.errors import DataError
from triptych.metrics.moments import Moments


class Between(NamedTuple):
    """What the distance, its bias and its spread share; all float64."""

    real: Moments
    made: Moments
    root: Tensor  # (D, R) with R R^T = S_X and orthogonal columns, for the directions in which X varies
    middle: Tensor  # (R, R), R^T S_Y R


def between(real: Moments, made: Moments) -> Between:
    """Raises a `DataError` where the features differ in number or a side has fewer than two images."""
    _check(real, made)
    values, vectors = _eigen(real.covariance)
    return _beside(real, made, vectors * values.sqrt())


def _check(real: Moments, made: Moments) -> None:
    if real.mean.shape != made.mean.shape:
        raise DataError(f"{len(real.mean)} features against {len(made.mean)}: see both sets with one extractor.")
    if min(real.n, made.n) < 2:
        raise DataError(f"A covariance needs two images, there are {real.n} real and {made.n} generated: add more.")


def _beside(real: Moments, made: Moments, root: Tensor) -> Between:
    return Between(real, made, root, root.T @ made.covariance @ root)


def frechet(real: Moments, made: Moments) -> float:
    """The distance, at least 0: where rounding makes it negative it is set to 0. Raises as `between` does.

    Any R with R R^T = S_X gives the same eigenvalues, so where S_X has full rank a Cholesky factor saves half
    of the time.
    """
    _check(real, made)
    root, failed = torch.linalg.cholesky_ex(real.covariance)
    return max(0.0, distance(between(real, made) if failed else _beside(real, made, root)))


def distance(pair: Between) -> float:
    """The distance as computed: for equal sets it may lie below 0 by rounding."""
    traces = pair.real.covariance.trace() + pair.made.covariance.trace()
    cross = torch.linalg.eigvalsh(pair.middle).clamp(min=0).sqrt().sum()
    return float((pair.real.mean - pair.made.mean).square().sum() + traces - 2 * cross)


def bias(pair: Between) -> float:
    """What a perfect model would score at these N, if features were Gaussian.

    Two samples of N(m, S), S of eigenvalues l, are apart by (1/N + 1/M) times
    sum_i l_i + 1/2 sum_ij (1 + [i = j]) l_i l_j / (l_i + l_j), to first order in 1/N and 1/M;
    for S = I in D dimensions by (1/N + 1/M) (D + D (D + 1) / 4).
    """
    values = pair.root.square().sum(0)
    mixed = values[:, None] * values / (values[:, None] + values)
    share = values.sum() + (mixed.sum() + mixed.trace()) / 2
    return float(share * (1 / pair.real.n + 1 / pair.made.n))


def influence(pair: Between, rows: Tensor) -> Tensor:
    """How far each generated row (K, D) moves the distance, but for a constant; (K,) float64.

    The gradient in S_Y is I - T, T = R (R^T S_Y R)^(-1/2) R^T the optimal map from Y to X; that in m_Y
    is 2 (m_Y - m_X) (Rippl, Munk and Sturm 2016, arXiv:1507.04090).
    """
    y = rows.double() - pair.made.mean
    values, vectors = _eigen(pair.middle)
    mapped = (y @ pair.root @ vectors).square() @ values.rsqrt()  # y^T T y
    return 2 * (y @ (pair.made.mean - pair.real.mean)) + y.square().sum(1) - mapped


def _eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues (R,) that stand out of rounding, with their vectors (D, R)."""
    values, vectors = torch.linalg.eigh(matrix)
    held = values > values[-1:].abs() * len(values) * torch.finfo(values.dtype).eps
    return values[held], vectors[:, held]
