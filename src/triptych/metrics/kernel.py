"""Maximum mean discrepancy: how far apart two sets are to a kernel k (Gretton et al. 2012).

    MMD^2 = mean of k(x, x') over pairs of real rows + of k(y, y') over pairs of generated ones
            - 2 mean of k(x, y)

with no row beside itself: the unbiased U-statistic (their equation 3), which may fall below 0 for equal
sets. All kept rows enter at once, in blocks, and each generated row's part (Hajek's projection) gives
the interval. Real X (N, D), generated Y (M, D), at least two rows each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from triptych.metrics.bootstrap import interval_around
from triptych.metrics.estimate import Estimate

Kernel = Callable[[Tensor, Tensor], Tensor]  # (A, D), (B, D) -> (A, B)

CHUNK = 512  # rows of a block
PAIRED = 1000  # real rows whose distances give the bandwidth
CMMD_WIDTH, CMMD_SCALE = 10.0, 1000.0


def kid(x: Tensor, y: Tensor) -> Estimate:
    """Kernel inception distance with k = (x.y / D + 1)^3 (Binkowski et al. 2018, arXiv:1801.01401)."""

    def cubic(a: Tensor, b: Tensor) -> Tensor:
        base = a @ b.T / a.shape[1] + 1
        return base * base * base

    return discrepancy(x, y, cubic)


def mmd(x: Tensor, y: Tensor, width: float | None = None) -> Estimate:
    """With the Gaussian kernel exp(-|x - y|^2 / (2 width^2)), `width` the median distance of real rows by default."""
    return discrepancy(x, y, gaussian(median_distance(x) if width is None else width))


def cmmd(x: Tensor, y: Tensor) -> Estimate:
    """1000 MMD^2 of rows of length 1, width 10 (Jayasumana et al. 2024, arXiv:2401.09603).

    Unbiased; their code keeps each row beside itself, which adds about 1000 (2 - mean k) / N to it.
    """
    plain = mmd(normalize(x.double(), dim=1), normalize(y.double(), dim=1), CMMD_WIDTH)
    return Estimate(*(CMMD_SCALE * part for part in plain))


def gaussian(width: float) -> Kernel:
    """exp(-|a - b|^2 / (2 width^2))."""

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        sizes = a.square().sum(1)[:, None] + b.square().sum(1)
        return torch.addmm(sizes, a, b.T, alpha=-2).mul_(-0.5 / width**2).exp_()

    return kernel


def median_distance(x: Tensor) -> float:
    """The median distance of pairs of the first 1,000 rows, the usual choice of a bandwidth; 1 where it is 0."""
    return float(torch.pdist(x[:PAIRED].double()).median()) or 1.0


def discrepancy(x: Tensor, y: Tensor, kernel: Kernel) -> Estimate:
    """MMD^2 to any kernel, with its interval."""
    x, y = x.double(), y.double()
    own, other = _within(y, kernel), _across(y, x, kernel)
    value = _within(x, kernel).mean() + own.mean() - 2 * other.mean()
    return interval_around(float(value), 2 * (own - other))


def _within(a: Tensor, kernel: Kernel) -> Tensor:
    """The mean of k(a_i, a_j) over j other than i, for each i; half of the pairs give the other half."""
    sums = a.new_zeros(len(a))
    for start in range(0, len(a), CHUNK):
        end = min(start + CHUNK, len(a))
        block = kernel(a[start:end], a[start:])
        sums[start:end] += block.sum(1) - block.diagonal()
        sums[end:] += block[:, end - start :].sum(0)
    return sums / (len(a) - 1)


def _across(a: Tensor, b: Tensor, kernel: Kernel) -> Tensor:
    """The mean of k(a_i, b_j) over j, for each i."""
    return torch.cat([kernel(part, b).mean(1) for part in torch.split(a, CHUNK)])
