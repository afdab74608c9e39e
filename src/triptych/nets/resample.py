"""Features at other sides: finer ones by repetition or bilinear, coarser ones by the mean over each area."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

Finer = Literal["nearest", "bilinear"]


def resized(h: Tensor, sides: tuple[int, int], finer: Finer = "nearest") -> Tensor:
    """Features (B, F, H, W) at other sides, (B, F, *sides).

    A side that shrinks is averaged over each new place's area; one that grows is repeated or, with
    `finer` "bilinear", interpolated. Exact for any factor, whole or not, and twice differentiable.
    """
    height, width = h.shape[2:]
    if (height, width) == sides:
        return h
    less = (min(height, sides[0]), min(width, sides[1]))
    if less != (height, width):
        steps = (height // less[0], width // less[1])
        whole = (height, width) == (less[0] * steps[0], less[1] * steps[1])
        h = avg_pool2d(h, steps) if whole else interpolate(h, size=less, mode="area")
    if less == sides:
        return h
    if finer == "nearest":
        return interpolate(h, size=sides, mode="nearest-exact")
    return interpolate(h, size=sides, mode="bilinear", align_corners=False)
