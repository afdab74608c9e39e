"""Densities of one pixel value: the probability of each of the 256 values around a location.

A density is a function `(x, location, scale) -> log-probability` of one shape, in nats, with the inverse of
its distribution function beside it. A uint8 value owns the bin of one step around it and the first and last
bins take the tails, so the 256 probabilities sum to 1 and a bound made of them is a bound for uint8 images.
`scale` is the standard deviation before binning, in units of x, and broadcasts. Values off the uint8 grid
(premultiplied colour) are given the bin of one step around themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from triptych.pixels import HALF

STEP = 1 / HALF  # the width of a uint8 value in units of x
LOGISTIC = math.pi / math.sqrt(3)  # the standard deviation of a logistic of unit scale
LAPLACE = math.sqrt(2)  # and of a Laplace


class Density(NamedTuple):
    """A family of distributions with a location and a scale."""

    log_prob: Callable[[Tensor, Tensor, Tensor], Tensor]  # x, location, scale -> nats
    quantile: Callable[[Tensor], Tensor]  # u in (0, 1) -> the value at location 0, scale 1


def logistic(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Discretised logistic (Kingma et al. 2016, arXiv:1606.04934, appendix B), without cancellation.

    With s the logistic function, s(b) - s(a) = s(b) s(-a) (1 - exp(a - b)): each factor is exact in both tails.
    """
    scale = scale / LOGISTIC
    below, above = _edges(x, location, scale)
    top, bottom = logsigmoid(-below), logsigmoid(above)
    return _open_ends(x, top, bottom, top + bottom + (-torch.expm1(-STEP / scale)).log())


def gaussian(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Discretised Gaussian (Ho et al. 2020, arXiv:2006.11239, equation 13)."""
    below, above = _edges(x, location, scale)
    left = below + above < 0  # by symmetry every bin may lie in the left tail, where the logarithm is exact
    near = torch.special.log_ndtr(torch.where(left, above, -below))
    far = torch.special.log_ndtr(torch.where(left, below, -above))
    inside = near + (-torch.expm1(far - near)).log()
    return _open_ends(x, torch.special.log_ndtr(-below), torch.special.log_ndtr(above), inside)


def laplace(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Discretised Laplace: the likelihood of which the absolute error is the logarithm.

    A bin on one side of the location has mass exp(-near) (1 - exp(near - far)) / 2; one that holds it has
    1 - (exp(-left) + exp(-right)) / 2.
    """
    below, above = _edges(x, location, scale / LAPLACE)
    near, far = torch.minimum(below.abs(), above.abs()), torch.maximum(below.abs(), above.abs())
    apart = (far - near).clamp(min=torch.finfo(x.dtype).tiny)  # 0 only where the location is in the middle
    aside = -near + (-torch.expm1(-apart)).log() - math.log(2)
    around = (-(torch.expm1(-below.abs()) + torch.expm1(-above.abs())) / 2).log()
    inside = torch.where(below * above < 0, around, aside)
    return _open_ends(x, _laplace_tail(below), _laplace_tail(-above), inside)


def _laplace_tail(edge: Tensor) -> Tensor:
    """The logarithm of the mass beyond an edge."""
    distance = edge.abs()
    return torch.where(edge > 0, -distance - math.log(2), torch.log1p(-(-distance).exp() / 2))


def _edges(x: Tensor, location: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and upper edge of each value's bin, in scales from the location."""
    return (x - STEP / 2 - location) / scale, (x + STEP / 2 - location) / scale


def _open_ends(x: Tensor, top: Tensor, bottom: Tensor, inside: Tensor) -> Tensor:
    """`inside`, but `top` and `bottom` where the bin reaches beyond the last and the first value."""
    inside = torch.where(x + STEP / 2 > 1, top, inside)
    return torch.where(x - STEP / 2 < -1, bottom, inside)


def _laplace_quantile(u: Tensor) -> Tensor:
    return -(u - 0.5).sign() * torch.log1p(-2 * (u - 0.5).abs()) / LAPLACE


LOGISTIC_DENSITY = Density(logistic, lambda u: u.logit() / LOGISTIC)
GAUSSIAN_DENSITY = Density(gaussian, torch.special.ndtri)
LAPLACE_DENSITY = Density(laplace, _laplace_quantile)
