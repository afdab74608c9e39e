"""Residual ladders: an image down to a grid of features and back, block by block (Esser et al. 2021, arXiv:2012.09841).

Pre-activation blocks of group norm, SiLU and 3x3 convolutions; sides shrink by the mean over areas and grow by
repetition, so any size does, square or not. The features double at each halving, up to 4 x width. A `strided`
ladder works at its smaller sides alone: one strided convolution leads there, and its transpose back.

Notation: B batch, C channels, F features, H W sides, h w sides of the grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import silu

from triptych.nets.conv import Side, growing, shrinking
from triptych.nets.dropout import Dropout
from triptych.nets.resample import resized

WIDEST = 4  # the features stop doubling at 4 x width


class Residual(nn.Module):
    """h + convolution of convolution of h, to other features where asked; the last weights start at zero."""

    def __init__(self, inside: int, outside: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norm(width) for width in (inside, outside))
        self.first = nn.Conv2d(inside, outside, 3, padding=1)
        self.second = nn.Conv2d(outside, outside, 3, padding=1)
        self.drop = Dropout(dropout)
        self.skip = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)
        nn.init.zeros_(self.second.weight)

    def forward(self, h: Tensor) -> Tensor:
        y = self.first(silu(self.norms[0](h)))
        y = self.second(self.drop(silu(self.norms[1](y))))
        total: Tensor = self.skip(h) + y
        return total


class Down(nn.Module):
    """Images (B, C, H, W) through `sides` to answers (B, answers, h, w)."""

    def __init__(
        self,
        channels: int,
        answers: int,
        sides: Sequence[Side],
        width: int,
        blocks: int,
        dropout: float = 0.0,
        strided: bool = False,
    ) -> None:
        super().__init__()
        self.enter = (
            shrinking(channels, width, sides[0], sides[1]) if strided else nn.Conv2d(channels, width, 3, padding=1)
        )
        self.sides = list(sides)[strided:]
        widths = features(width, len(self.sides))
        self.stages = _stages(widths, blocks, dropout)
        self.leave = nn.Sequential(norm(widths[-1]), nn.SiLU(), nn.Conv2d(widths[-1], answers, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        h = self.enter(x)
        for side, stage in zip(self.sides, self.stages, strict=True):
            h = stage(resized(h, side))
        y: Tensor = self.leave(h)  # (B, answers, h, w)
        return y


class Up(nn.Module):
    """Grids (B, channels, h, w) back through `sides` to answers (B, answers, H, W); `sides` are those of `Down`."""

    def __init__(
        self,
        channels: int,
        answers: int,
        sides: Sequence[Side],
        width: int,
        blocks: int,
        dropout: float = 0.0,
        strided: bool = False,
    ) -> None:
        super().__init__()
        self.sides = list(sides)[strided:][::-1]
        widths = features(width, len(self.sides))[::-1]
        self.enter = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.stages = _stages(widths, blocks, dropout)
        last = growing(width, answers, sides[1], sides[0]) if strided else nn.Conv2d(width, answers, 3, padding=1)
        self.leave = nn.Sequential(norm(width), nn.SiLU(), last)

    def forward(self, z: Tensor) -> Tensor:
        h = self.enter(z)
        for side, stage in zip(self.sides, self.stages, strict=True):
            h = stage(resized(h, side))
        y: Tensor = self.leave(h)  # (B, answers, H, W)
        return y


def features(width: int, steps: int) -> list[int]:
    """The features at each of `steps` sides, the image's first."""
    return [width * min(2**step, WIDEST) for step in range(steps)]


def norm(width: int) -> nn.GroupNorm:
    """Group norm in groups of about 8 features, at most 32 groups."""
    return nn.GroupNorm(math.gcd(width, max(1, min(32, width // 8))), width)


def _stages(widths: Sequence[int], blocks: int, dropout: float) -> nn.ModuleList:
    """`blocks` residual blocks at each of these widths, the first of which leads there from the one before."""
    stages = nn.ModuleList()
    for step, width in enumerate(widths):
        inside = [widths[max(step - 1, 0)]] + [width] * (blocks - 1)
        stages.append(nn.Sequential(*(Residual(wide, width, dropout) for wide in inside)))
    return stages
