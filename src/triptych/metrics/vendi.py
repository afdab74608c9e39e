"""The Vendi score: how many different images there seem to be (Friedman and Dieng 2023, arXiv:2210.02410)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from triptych.metrics.bootstrap import interval_of_mean
from triptych.metrics.estimate import Estimate


def vendi(y: Tensor) -> Estimate:
    """exp of the entropy of the eigenvalues of K / M, K the cosines of rows (M, D); from 1 to M.

    With u a row of length 1, K / M has the eigenvalues of C = mean u u^T (D, D), and the entropy is the
    mean over rows of -u^T log(C) u, which is also each row's first-order influence on it.
    """
    rows = y.double()
    empty = (rows.square().sum(1, keepdim=True) == 0).double()  # rows of zeros are alike, and unlike all others
    unit = torch.cat([normalize(rows, dim=1), empty], 1)
    shares, axes = _spectrum(unit)
    seen = shares > shares.max() * max(unit.shape) * torch.finfo(shares.dtype).eps
    surprise = (unit @ axes[:, seen]).square() @ -shares[seen].log()
    return Estimate(*map(math.exp, interval_of_mean(surprise)))


def _spectrum(unit: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (R,) and eigenvectors (D, R) of the mean of u u^T, from whichever side is shorter."""
    if len(unit) < unit.shape[1]:
        _, sizes, axes = torch.linalg.svd(unit, full_matrices=False)
        return sizes.square() / len(unit), axes.T
    shares, axes = torch.linalg.eigh(unit.T @ unit / len(unit))
    return shares, axes
