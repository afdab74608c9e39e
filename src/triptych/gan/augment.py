"""(stub, being written) What the critic is shown instead of the images themselves."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from triptych.core import Stats


class Shown(nn.Module):
    """Images as they are."""

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to images of the same shape."""
        return x

    def follow(self, accuracy_real: Tensor, size: int, seen: int) -> Stats:
        """Told after each batch how many real images the critic recognises; returns numbers to log."""
        return {}


Augment = Annotated[Shown, "augment"]


def shifted(x: Tensor, share: float) -> Tensor:
    raise NotImplementedError
