"""Layers that learn at one rate whatever their size, and two cures against runaway and collapse.

Karras et al. 2018 (arXiv:1710.10196): minibatch deviation (section 3), equalised learning rate (4.1) and
pixel norm (4.2). Weights begin as N(0, 1) and are scaled in use, so an optimiser that moves each weight
by about its rate, such as Adam, changes each layer by the same share.

Notation: B batch, F features, H W sides; G images in a group, M = B / G groups.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych import ranks
from triptych.errors import UsageError

WIDE = 32  # px of the longer side up to which all features are `width`; each doubling beyond halves them
TINY = 1e-8  # keeps roots differentiable at zero


class Dense(nn.Module):
    """y = x W^T rate / sqrt(inside) + rate b: (..., inside) -> (..., outside).

    `rate` multiplies the optimiser's rate for this layer and changes nothing in its first output
    (Karras et al. 2019, arXiv:1812.04948, appendix C); `offset` is where b, as it is added, begins.
    """

    def __init__(self, inside: int, outside: int, bias: bool = True, rate: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outside, inside) / rate)
        self.bias = nn.Parameter(torch.full((outside,), offset / rate)) if bias else None
        self.rate, self.scale = rate, rate / math.sqrt(inside)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, None if self.bias is None else self.bias * self.rate)


class Conv(nn.Module):
    """A convolution that keeps the sides, its weights over sqrt(fan in): (B, inside, H, W) -> (B, outside, H, W)."""

    def __init__(self, inside: int, outside: int, kernel: int = 3, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outside, inside, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outside)) if bias else None
        self.scale = 1 / math.sqrt(inside * kernel**2)

    def forward(self, h: Tensor) -> Tensor:
        return F.conv2d(h, self.weight * self.scale, self.bias, padding=self.weight.shape[-1] // 2)


class Leaky(nn.Module):
    """LeakyReLU 0.2 times sqrt(2), the gain of He et al. 2015: about the variance that came in goes out."""

    def forward(self, h: Tensor) -> Tensor:
        return F.leaky_relu(h, 0.2) * math.sqrt(2)


class PixelNorm(nn.Module):
    """Features (B, F, ...) over their root mean square at each place (Karras et al. 2018, section 4.2)."""

    def forward(self, h: Tensor) -> Tensor:
        return h * (h.square().mean(1, keepdim=True) + TINY).rsqrt()


class Deviation(nn.Module):
    """Adds a feature that says how much images differ: (B, F, H, W) -> (B, F + 1, H, W).

    The standard deviation of each value over a group of images, averaged over all values (Karras et al.
    2018, section 3). Groups are of 4 where that divides the batch, else of the nearest number that does,
    never of one. One image alone differs by zero, and raises a `UsageError` in training.
    """

    least_batch = 2

    def forward(self, h: Tensor) -> Tensor:
        batch = ranks.count(len(h))
        if batch < self.least_batch:
            if self.training:
                raise UsageError(f"batch: {batch} image is too few for minibatch deviation; give 2 or more.")
            return F.pad(h, (0, 0, 0, 0, 0, 1))
        groups = ranks.whole(h).reshape(group_size(batch), -1, *h.shape[1:])  # (G, M, F, H, W)
        apart = (groups.var(0, correction=0) + TINY).sqrt().mean((1, 2, 3))  # (M,)
        told = ranks.own(apart.repeat(len(groups)))[:, None, None, None].expand(-1, 1, *h.shape[2:])
        return torch.cat([h, told.to(h.dtype)], 1)


def group_size(batch: int) -> int:
    """Images that are compared in a batch of two or more: 4, 3 or 2 where one divides it, else its least divisor."""
    size: int = next(size for size in (4, 3, 2, *range(5, batch + 1)) if batch % size == 0)
    return size
