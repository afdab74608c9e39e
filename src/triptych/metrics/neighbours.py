"""Which images are near which, in features; precision, recall, density, coverage and authenticity.

Notation: X (N, D) real, Y (M, D) generated, B_k(x) the ball around x that reaches to its k-th nearest
other row of the same set. Distances are Euclidean, in float64 in blocks, so memory does not grow with N M;
rows that differ by less than float32 resolves are equal, and a row on the edge of a ball is inside.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from triptych.errors import DataError

METRICS = ("euclidean", "cosine")
CHUNK = 512  # rows of a block
SAME = 1e-13  # a squared distance under this share of the rows' squared lengths is 0
EDGE = 1 + 1e-9  # squared radii are this much longer, so that ties are inside


class Near(NamedTuple):
    """One value for each row; the mean of a column is the metric."""

    precision: Tensor  # (M,) 1 where y is in a ball of some x (Kynkaanniemi et al. 2019, arXiv:1904.06991)
    recall: Tensor  # (N,) 1 where x is in a ball of some y
    density: Tensor  # (M,) in how many balls of X y is, over k (Naeem et al. 2020, arXiv:2002.09797)
    coverage: Tensor  # (N,) 1 where the ball of x holds some y
    authentic: (
        Tensor  # (M,) 0 where y is nearer to its nearest x than any other x is (Alaa et al. 2022, arXiv:2102.08921)
    )


def near(x: Tensor, y: Tensor, k: int = 3, dense: int = 5) -> Near:
    """Precision and recall with B_k, density and coverage with B_dense; float64.

    Raises a `DataError` where a side has no more rows than neighbours are asked for.
    """
    x, y = _centred(x, y)
    reach_x, reach_y = reach(x, max(k, dense)), reach(y, k)
    precision, density, authentic = [], [], []
    recall, coverage = (torch.zeros(len(x), dtype=torch.bool) for _ in range(2))
    for part, ball in zip(torch.split(y, CHUNK), torch.split(reach_y[:, k - 1], CHUNK), strict=True):
        apart = squared(part, x)
        within = apart <= reach_x[:, dense - 1]
        precision.append((apart <= reach_x[:, k - 1]).any(1))
        density.append(within.sum(1).double() / dense)
        coverage |= within.any(0)
        recall |= (apart <= ball[:, None]).any(0)
        least, closest = apart.min(1)
        authentic.append(least > reach_x[closest, 0])
    columns = (torch.cat(precision), recall, torch.cat(density), coverage, torch.cat(authentic))
    return Near(*(column.double() for column in columns))


def prdc(x: Tensor, y: Tensor, k: int = 5) -> Near:
    """All four with the same k, as Naeem et al. (2020) compare them."""
    return near(x, y, k, k)


def nearest(x: Tensor, y: Tensor) -> Tensor:
    """(M,) int64: which row of X is nearest to each of Y."""
    x, y = _centred(x, y)
    return torch.cat([squared(part, x).argmin(1) for part in torch.split(y, CHUNK)])


def closest(x: Tensor, y: Tensor, k: int, metric: str = "euclidean") -> tuple[Tensor, Tensor]:
    """Distances (M, k), rising, and which rows of X (M, k) int64 they lead to, for each row of Y.

    "cosine" is 1 - cos of the angle. Equal rows are at 0; of rows as near the first of X comes first.
    """
    x, y = x.double(), y.double()
    if metric == "cosine":
        x, y = normalize(x), normalize(y)
    apart = torch.cdist(y, x, compute_mode="donot_use_mm_for_euclid_dist")  # (M, N), exact for equal rows
    found, rows = (part[:, :k] for part in apart.sort(dim=1, stable=True))
    return (found.square() / 2 if metric == "cosine" else found), rows  # |a - b|^2 = 2 - 2 cos where both are 1 long


def reach(x: Tensor, k: int) -> Tensor:
    """(N, k) squared distances to the 1st to k-th nearest other row, a little enlarged against ties."""
    if len(x) <= k:
        raise DataError(f"{k} neighbours need at least {k + 1} images, there are {len(x)}: add images or lower k.")
    found = []
    for start in range(0, len(x), CHUNK):
        apart = squared(x[start : start + CHUNK], x)
        apart.diagonal(start).fill_(torch.inf)  # no row is its own neighbour
        found.append(apart.topk(k, largest=False).values)
    return torch.cat(found) * EDGE


def squared(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances (A, B) of float64 rows; those that are rounding alone are 0."""
    sizes = a.square().sum(1)[:, None] + b.square().sum(1)
    apart = torch.addmm(sizes, a, b.T, alpha=-2)
    return apart.masked_fill_(apart <= SAME * sizes, 0)


def _centred(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets in float64 around the mean of X, where products round least."""
    middle = x.double().mean(0)
    return x.double() - middle, y.double() - middle
