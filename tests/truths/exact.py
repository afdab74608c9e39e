"""Data whose denoiser is known: a Gaussian, and mixtures of Gaussians.

Notation: x the clean image, y = x + s n; D = E[x | y]; L the variance of the data, S the level at the top. Images are
(B, C, H, W); those with one value are (B, 1, 1, 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.samplers import Denoiser, Sampler

STILL = Draw(())  # where nothing may be drawn


def gaussian(variance: float | Tensor, mean: float | Tensor = 0.0) -> Denoiser:
    """D = m + L / (L + s^2) (y - m), the Wiener filter; each value of an image on its own."""

    def denoise(y: Tensor, s: Tensor, *until: Tensor) -> Tensor:
        return mean + variance / (variance + s.view(-1, 1, 1, 1) ** 2) * (y - mean)

    return denoise


def correlated(mean: Tensor, covariance: Tensor) -> Denoiser:
    """D = m + C (C + s^2 I)^-1 (y - m) of images of d values, m (d,), C (d, d); one level at a time."""

    def denoise(y: Tensor, s: Tensor) -> Tensor:
        gain = torch.linalg.solve(covariance + s[0] ** 2 * torch.eye(len(mean), dtype=y.dtype), covariance)
        return (mean + (y.flatten(1) - mean) @ gain).view(y.shape)

    return denoise


def mixture(shares: Sequence[float], means: Sequence[float], variance: float) -> Denoiser:
    """D = sum_k r_k [m_k + L / (L + s^2) (y - m_k)], r_k ~ w_k N(y; m_k, L + s^2), of each value on its own.

    Without variance it is the mean of the points m_k, each as likely as it is near.
    """
    weights, places = (torch.tensor(numbers, dtype=torch.float64) for numbers in (shares, means))

    def denoise(y: Tensor, s: Tensor) -> Tensor:
        total = variance + s.view(-1, 1, 1, 1, 1) ** 2
        away = y[..., None] - places  # (B, C, H, W, K)
        parts = (weights.log() - away**2 / (2 * total)).softmax(-1)
        return (parts * (places + variance / total * away)).sum(-1)

    return denoise


def leap(variance: float) -> Denoiser:
    """Where the flow's path through y at s is at a level below, as D of a straight line there; 0 unless told."""

    def denoise(y: Tensor, s: Tensor, until: Tensor | None = None) -> Tensor:
        s = s.view(-1, 1, 1, 1)
        t = torch.zeros_like(s) if until is None else until.view(-1, 1, 1, 1)
        there = ((variance + t**2) / (variance + s**2)).sqrt() * y
        return (there - t / s * y) / (1 - t / s)

    return denoise


def flowed(variance: float | Tensor, s: float, t: float) -> float | Tensor:
    """What the probability flow of N(0, L) multiplies by between two levels, up or down."""
    ratio = (variance + t * t) / (variance + s * s)
    return ratio.sqrt() if isinstance(ratio, Tensor) else math.sqrt(ratio)


def guided_factor(scale: float, own: float, all_: float, s: float, t: float) -> float:
    """The same where a class of N(0, own) is guided away from N(0, all): a product of powers of both flows."""
    return math.sqrt((own + t * t) / (own + s * s)) ** scale * math.sqrt((all_ + t * t) / (all_ + s * s)) ** (1 - scale)


class Impulses(Draw):
    """The k-th draw is 1 for image k and 0 for the others; image 0 is left to the first noise."""

    def __init__(self, draws: int) -> None:
        super().__init__(range(draws + 1))
        self.drawn = 0

    def normal(self, *shape: int) -> Tensor:
        self.drawn += 1
        return self.only(self.drawn, shape)

    def only(self, image: int, shape: tuple[int, ...] = (1, 1, 1)) -> Tensor:
        unit = torch.zeros(len(self), *shape, dtype=torch.float64)
        unit[image] = 1
        return unit


def response(sampler: Sampler, levels: Tensor, denoise: Denoiser) -> Tensor:
    """What a linear denoiser makes of the first noise, and of each draw: (1 + steps,)."""
    draw = Impulses(len(levels) - 1)
    return sampler(denoise, draw.only(0), levels, draw).flatten()


def variance_of(sampler: Sampler, levels: Tensor, start: float, denoise: Denoiser) -> float:
    """The variance of what comes out where N(0, start) goes in, for a linear denoiser."""
    first, *drawn = response(sampler, levels, denoise).square().tolist()
    return start * first + math.fsum(drawn)
