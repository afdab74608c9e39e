"""What a network is shown and what is made of its answer, as functions of the level.

A network F that sees inp * y answers for the clean image with D(y, s) = skip * y + out * F. Trained
on (D - x)^2 / out^2, the error of F itself, each function here gives the loss of its paper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from triptych.errors import UsageError


class Coefficients(NamedTuple):
    """Factors (B,) for images of B levels."""

    skip: Tensor
    out: Tensor
    inp: Tensor


Scaling = Callable[[Tensor], Coefficients]


def eps(s: Tensor) -> Coefficients:
    """F is the noise n: the simple loss of Ho et al. (2020, equation 14)."""
    alpha = (1 + s.square()).rsqrt()
    return Coefficients(skip=s.new_ones(s.shape), out=-s, inp=alpha)


def flow(s: Tensor) -> Coefficients:
    """F is n - x, the velocity of the straight path x_t = (1 - t) x + t n at t = s / (1 + s).

    Rectified flow (Liu et al. 2022, arXiv:2209.03003, equation 1), flow matching along optimal transport
    (Lipman et al. 2022, arXiv:2210.02747, section 4.1). What the network sees is x_t = y / (1 + s).
    """
    share = 1 / (1 + s)  # 1 - t
    return Coefficients(skip=share, out=-s * share, inp=share)


def velocity(s: Tensor) -> Coefficients:
    """F is v = alpha n - sigma x (Salimans and Ho 2022, arXiv:2202.00512, appendix D)."""
    alpha = (1 + s.square()).rsqrt()
    return Coefficients(skip=alpha.square(), out=-s * alpha, inp=alpha)


def x0(s: Tensor) -> Coefficients:
    """F is the clean image x itself (Ho et al. 2020, section 3.2; Li and He 2025, arXiv:2511.13720)."""
    return Coefficients(skip=s.new_zeros(s.shape), out=s.new_ones(s.shape), inp=(1 + s.square()).rsqrt())


def edm(deviation: float = 0.5) -> Scaling:
    """F is what is left of x beside the best linear guess, at unit variance in and out.

    (Karras et al. 2022, arXiv:2206.00364, table 1; `deviation` is that of the images.) With `weighting.unit` the
    loss is that paper's own.
    """
    if not deviation > 0:
        raise UsageError(f"scaling.deviation is {deviation}: give a number above 0.")

    def coefficients(s: Tensor) -> Coefficients:
        total = (s.square() + deviation**2).rsqrt()
        return Coefficients(skip=(deviation * total).square(), out=s * deviation * total, inp=total)

    return coefficients
