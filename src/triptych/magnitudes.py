"""Rows of magnitude 1, and weights of which only that matters: who moves them sets them back.

Magnitude is root mean square. Where a layer divides its weights by their magnitude, a longer weight answers as a
short one, its gradient is at right angles to it, and so each step makes it longer and the next one smaller
(Karras et al. 2024, arXiv:2312.02696, section 2.3). Weights that are set back keep the meaning of the learning rate.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL = 1e-6  # magnitudes under which nothing is enlarged to 1


class UnitRows(nn.Parameter):
    """A weight (rows, ...) of which only the direction of each row counts, at magnitude 1 after each move."""


def unit(x: Tensor) -> Tensor:
    """x with a magnitude of 1 along its last dimension; what is under `SMALL` stays small, and zeros stay zeros."""
    return F.rms_norm(x, x.shape[-1:], eps=SMALL**2)


@torch.no_grad()
def set_back(weights: Iterable[Tensor]) -> None:
    """Give the rows of those that are `UnitRows` a magnitude of 1 again, in place (equation 66); others stay."""
    for weight in weights:
        if isinstance(weight, UnitRows):
            weight.copy_(unit(weight.flatten(1)).view_as(weight))
