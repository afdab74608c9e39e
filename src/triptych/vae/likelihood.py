"""The decoder's likelihood p(x | z), as a value: what the decoder's answer means as a distribution of images.

A `Noise` says how many numbers the decoder must answer for each pixel, and turns the answer into the
log-probability of an image, into the mean image and into a draw. Probabilities are of uint8 values
(`densities.py`), so that bounds in bits/dim compare with each other and with published ones.

Notation: B batch, C channels, H W sides, K parts of a mixture; x image in [-1, 1]; a answer (B, A, H, W).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from triptych.chance import Draw
from triptych.core import Shape
from triptych.errors import UsageError
from triptych.vae.densities import GAUSSIAN_DENSITY, LAPLACE_DENSITY, LOGISTIC_DENSITY, STEP, Density

START = 0.2  # the learned scale before training: the error of a rough reconstruction
EDGE = 1e-6  # draws stay so far from the ends of the distribution function


class Noise(nn.Module, ABC):
    """p(x | z) given what the decoder answers."""

    answers: int  # numbers for each pixel, A

    @abstractmethod
    def log_prob(self, x: Tensor, a: Tensor) -> Tensor:
        """log p(x | z) of images (B, C, H, W), (B,) in nats."""

    @abstractmethod
    def mean(self, a: Tensor) -> Tensor:
        """The mean image (B, C, H, W), in [-1, 1]."""

    @abstractmethod
    def draw(self, a: Tensor, draw: Draw) -> Tensor:
        """An image (B, C, H, W) in [-1, 1] with its pixel noise, for each generator of `draw`."""

    @abstractmethod
    def spread(self) -> Tensor:
        """A number to log: the standard deviation of a pixel, where it is one for all, else 0."""


NoiseNode = Annotated[Noise, "noise"]  # as a recipe names it


class Located(Noise):
    """A density around the answer, with one learned scale a channel (Rybkin et al. 2021, arXiv:2006.13202).

    With the scale learned, reconstruction and KL are in balance without a weight between them.
    """

    def __init__(self, channels: int, density: Density) -> None:
        super().__init__()
        self.answers, self.density = channels, density
        self.log_scale = nn.Parameter(torch.full((channels, 1, 1), math.log(START)))

    def scale(self) -> Tensor:
        """Standard deviation of p(x | z), (C, 1, 1): never below half a uint8 step."""
        return STEP / 2 + self.log_scale.exp()

    def log_prob(self, x: Tensor, a: Tensor) -> Tensor:
        return self.density.log_prob(x, a.to(x.dtype), self.scale()).flatten(1).sum(1)

    def mean(self, a: Tensor) -> Tensor:
        return a.clamp(-1, 1)

    def draw(self, a: Tensor, draw: Draw) -> Tensor:
        u = draw.uniform(*a.shape[1:]).to(a.dtype).clamp(EDGE, 1 - EDGE)
        return (a + self.scale() * self.density.quantile(u)).clamp(-1, 1)

    def spread(self) -> Tensor:
        return self.scale().mean()


class Bernoulli(Noise):
    """Black or white, with the answer as the log-odds of white (Kingma and Welling 2013, appendix C.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.answers = channels

    def log_prob(self, x: Tensor, a: Tensor) -> Tensor:
        if not (x.abs() == 1).all():
            raise UsageError(
                "The likelihood bernoulli is for images of black and white alone, and these have values between: "
                "threshold them, or choose another (--set model.noise=logistic)."
            )
        return logsigmoid(x * a.to(x.dtype)).flatten(1).sum(1)

    def mean(self, a: Tensor) -> Tensor:
        return (a / 2).tanh()

    def draw(self, a: Tensor, draw: Draw) -> Tensor:
        return (draw.uniform(*a.shape[1:]).to(a.dtype) < a.sigmoid()).to(a.dtype) * 2 - 1

    def spread(self) -> Tensor:
        return torch.zeros(())


class Mixture(Noise):
    """A mixture of K discretised logistics a pixel, each channel leaning on those before it.

    Salimans et al. 2017 (PixelCNN++, arXiv:1701.05517, equations 2 and 3), for any number of channels. The
    answer holds K weights, then for each channel K locations and K scales, then K factors for each pair of
    channels: channel c of part k lies around location_c + sum_{b < c} factor_cb x_b.
    """

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__()
        if parts < 1:
            raise UsageError(f"A mixture of {parts} parts is none; give 1 or more.")
        self.channels, self.parts = channels, parts
        self.pairs = [(c, b) for c in range(channels) for b in range(c)]
        self.answers = parts * (1 + 2 * channels + len(self.pairs))

    def log_prob(self, x: Tensor, a: Tensor) -> Tensor:
        weights, locations, scales, factors = self._parts(a.to(x.dtype))
        inside = x.new_zeros(())
        for c in range(self.channels):
            location = self._location(c, locations, factors, x)
            inside = inside + LOGISTIC_DENSITY.log_prob(x[:, c, None].expand_as(location), location, scales[:, c])
        return (weights.log_softmax(1) + inside).logsumexp(1).flatten(1).sum(1)

    def mean(self, a: Tensor) -> Tensor:
        weights, locations, _, factors = self._parts(a)
        shares = weights.softmax(1)
        x = torch.zeros_like(locations)  # (B, C, K, H, W): the mean of each part
        for c in range(self.channels):
            around = [factors[:, p] * x[:, b] for p, (own, b) in enumerate(self.pairs) if own == c]
            x[:, c] = (locations[:, c] + sum(around)).clamp(-1, 1)
        return (shares[:, None] * x).sum(2)

    def draw(self, a: Tensor, draw: Draw) -> Tensor:
        weights, locations, scales, factors = self._parts(a)
        _, _, height, width = a.shape
        u = draw.uniform(1 + self.channels, height, width).to(a.dtype).clamp(EDGE, 1 - EDGE)
        part = (weights.softmax(1).cumsum(1) < u[:, :1]).sum(1, keepdim=True).clamp(max=self.parts - 1)  # (B, 1, H, W)
        x = a.new_zeros(len(a), self.channels, height, width)
        for c in range(self.channels):
            location = self._location(c, locations, factors, x).gather(1, part)[:, 0]
            scale = scales[:, c].gather(1, part)[:, 0]
            x[:, c] = (location + scale * LOGISTIC_DENSITY.quantile(u[:, 1 + c])).clamp(-1, 1)
        return x

    def spread(self) -> Tensor:
        return torch.zeros(())

    def _parts(self, a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights (B, K, H, W); locations and scales (B, C, K, H, W); factors (B, pairs, K, H, W)."""
        k, c = self.parts, self.channels
        weights, locations, scales, factors = torch.split(a, [k, c * k, c * k, len(self.pairs) * k], 1)
        shape = (len(a), -1, k, *a.shape[2:])
        scales = STEP / 2 + softplus(scales.reshape(shape) - 2)
        return weights, locations.reshape(shape), scales, factors.reshape(len(a), len(self.pairs), *shape[2:]).tanh()

    def _location(self, c: int, locations: Tensor, factors: Tensor, x: Tensor) -> Tensor:
        """Where each part of channel c lies, (B, K, H, W), given the channels of x before it."""
        location = locations[:, c]
        for p, (own, b) in enumerate(self.pairs):
            if own == c:
                location = location + factors[:, p] * x[:, b, None]
        return location


def logistic(image_shape: Shape) -> Noise:
    """Logistic noise around the answer, its scale learned."""
    return Located(image_shape[0], LOGISTIC_DENSITY)


def gaussian(image_shape: Shape) -> Noise:
    """Gaussian noise around the answer, its scale learned: optimal sigma."""
    return Located(image_shape[0], GAUSSIAN_DENSITY)


def laplace(image_shape: Shape) -> Noise:
    """Laplace noise around the answer, its scale learned: the absolute error, weighed as the data ask."""
    return Located(image_shape[0], LAPLACE_DENSITY)


def bernoulli(image_shape: Shape) -> Noise:
    """For images of black and white alone."""
    return Bernoulli(image_shape[0])


def mixture(image_shape: Shape, parts: int = 5) -> Noise:
    """A mixture of discretised logistics with leaning channels, for sharp likelihoods."""
    return Mixture(image_shape[0], parts)
