"""The decoder's noise p(x | z): the probability of each of the 256 values around a location.

A noise is a function `(x, location, scale) -> log-probability` of one shape, (B, C, H, W) in nats.
A uint8 value owns the bin of one step around it and the first and last bins take the tails, so
the 256 probabilities sum to 1 and a bound made of them is a bound for uint8 images. `scale` is the
standard deviation before binning, in units of x, and broadcasts. Values off the uint8 grid
(premultiplied colour) are given the bin of one step around themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from triptych.pixels import HALF

Noise = Annotated[Callable[[Tensor, Tensor, Tensor], Tensor], "noise"]

STEP = 1 / HALF  # the width of a uint8 value in units of x


def logistic(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Discretised logistic noise (Kingma et al. 2016, arXiv:1606.04934, appendix B), without cancellation.

    With s the logistic function, s(b) - s(a) = s(b) s(-a) (1 - exp(a - b)): each factor is exact
    in both tails. The deviation of a logistic of unit scale is pi / sqrt(3).
    """
    scale = scale * (math.sqrt(3) / math.pi)
    below, above = _edges(x, location, scale)
    top, bottom = logsigmoid(-below), logsigmoid(above)
    return _open_ends(x, top, bottom, top + bottom + (-torch.expm1(-STEP / scale)).log())


def gaussian(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Discretised Gaussian noise (Ho et al. 2020, arXiv:2006.11239, equation 13)."""
    below, above = _edges(x, location, scale)
    left = below + above < 0  # by symmetry every bin may lie in the left tail, where the logarithm is exact
    near = torch.special.log_ndtr(torch.where(left, above, -below))
    far = torch.special.log_ndtr(torch.where(left, below, -above))
    inside = near + (-torch.expm1(far - near)).log()
    return _open_ends(x, torch.special.log_ndtr(-below), torch.special.log_ndtr(above), inside)


def _edges(x: Tensor, location: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and upper edge of each value's bin, in deviations from the location."""
    return (x - STEP / 2 - location) / scale, (x + STEP / 2 - location) / scale


def _open_ends(x: Tensor, top: Tensor, bottom: Tensor, inside: Tensor) -> Tensor:
    """`inside`, but `top` and `bottom` where the bin reaches beyond the last and the first value."""
    inside = torch.where(x + STEP / 2 > 1, top, inside)
    return torch.where(x - STEP / 2 < -1, bottom, inside)
