"""Priors p(z), as values: where latents come from when an image is made, and what a posterior costs.

Notation: B batch, D latents, K parts of a mixture; z latent (B, ...), flattened to (B, D) here; q posterior.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, nn

from triptych import ranks
from triptych.chance import Draw
from triptych.core import Shape
from triptych.errors import UsageError
from triptych.vae.posterior import Posterior

Encode = Callable[[Tensor], Posterior]  # images (B, C, H, W) to their posteriors
Latents = tuple[int, ...]
LOG_TAU = math.log(2 * math.pi)


class Prior(nn.Module, ABC):
    """p(z). `encode` is the model's own encoder, for priors that are made of posteriors."""

    @abstractmethod
    def log_prob(self, z: Tensor, encode: Encode) -> Tensor:
        """log p(z) of latents (B, ...), (B,) in nats."""

    @abstractmethod
    def draw(self, draw: Draw, shape: Latents, encode: Encode, temperature: float = 1.0) -> Tensor:
        """Latents (B, *shape), one for each generator of `draw`; deviations are multiplied by `temperature`."""

    def kl(self, q: Posterior, z: Tensor, encode: Encode) -> Tensor:
        """log q(z | x) - log p(z) at one draw z of q, (B, 1) in nats: its mean over draws is the KL."""
        return (q.log_prob(z) - self.log_prob(z, encode))[:, None]


PriorNode = Annotated[Callable[[Shape, Latents], Prior], "prior"]  # as a recipe names it: shapes to the prior


class Normal(Prior):
    """N(0, I): latents that do not know of each other (Kingma and Welling 2013)."""

    def log_prob(self, z: Tensor, encode: Encode) -> Tensor:
        return -0.5 * (z**2 + LOG_TAU).flatten(1).sum(1)

    def draw(self, draw: Draw, shape: Latents, encode: Encode, temperature: float = 1.0) -> Tensor:
        return temperature * draw.normal(*shape)

    def kl(self, q: Posterior, z: Tensor, encode: Encode) -> Tensor:
        """KL(q || N(0, I)) of each latent in closed form, (B, D)."""
        return q.kl().flatten(1)


class Gaussians(Prior):
    """A mixture of K Gaussians, each with a mean and a covariance of its own, all learned.

    A covariance is kept as the triangular root R of its inverse, S^-1 = R^T R: its log-density needs no
    inverse, log N(z; m, S) = sum log R_ii - |R (z - m)|^2 / 2 - D log(2 pi) / 2.
    """

    def __init__(self, latents: int, parts: int) -> None:
        super().__init__()
        if parts < 1:
            raise UsageError(f"A mixture of {parts} parts is none; give 1 or more.")
        self.logits = nn.Parameter(torch.zeros(parts))
        self.mean = nn.Parameter(torch.randn(parts, latents))
        self.log_diagonal = nn.Parameter(torch.zeros(parts, latents))
        self.lower = nn.Parameter(torch.zeros(parts, latents, latents))

    def root(self) -> Tensor:
        """R of each part, (K, D, D), lower triangular with a positive diagonal."""
        return self.lower.tril(-1) + torch.diag_embed(self.log_diagonal.exp())

    def log_prob(self, z: Tensor, encode: Encode) -> Tensor:
        flat = z.flatten(1)
        whitened = torch.einsum("kij,bkj->bki", self.root(), flat[:, None] - self.mean)  # (B, K, D)
        parts = self.log_diagonal.sum(1) - 0.5 * (whitened.square().sum(2) + flat.shape[1] * LOG_TAU)
        nats: Tensor = (self.logits.log_softmax(0) + parts).logsumexp(1)
        return nats

    def draw(self, draw: Draw, shape: Latents, encode: Encode, temperature: float = 1.0) -> Tensor:
        part = chosen(draw, self.logits.softmax(0))
        n = temperature * draw.normal(math.prod(shape)).to(self.mean.dtype)
        z: Tensor = torch.linalg.solve_triangular(self.root()[part], n[:, :, None], upper=False)[:, :, 0]
        return (self.mean[part] + z).view(len(n), *shape)


class Vamp(Prior):
    """The mean of the posteriors of K learned images (VampPrior: Tomczak and Welling 2018, arXiv:1705.07120, eq. 9)."""

    def __init__(self, image_shape: Shape, parts: int) -> None:
        super().__init__()
        if parts < 1:
            raise UsageError(f"A prior of {parts} learned images is none; give 1 or more.")
        self.images = nn.Parameter(0.1 * torch.randn(parts, *image_shape))

    def log_prob(self, z: Tensor, encode: Encode) -> Tensor:
        q, flat = self._posteriors(encode), z.flatten(1)[:, None]  # (B, 1, D)
        mean, log_variance = q.mean.flatten(1), q.log_variance.flatten(1)  # (K, D) each
        parts = -0.5 * ((flat - mean).square() * (-log_variance).exp() + log_variance + LOG_TAU).sum(2)  # (B, K)
        return parts.logsumexp(1) - math.log(len(mean))

    def draw(self, draw: Draw, shape: Latents, encode: Encode, temperature: float = 1.0) -> Tensor:
        part, q = chosen(draw, self.images.new_ones(len(self.images)) / len(self.images)), self._posteriors(encode)
        return Posterior(q.mean[part], q.log_variance[part]).at(temperature * draw.normal(*shape).to(q.mean.dtype))

    def _posteriors(self, encode: Encode) -> Posterior:
        with ranks.on_each():
            return encode(self.images.tanh())


def chosen(draw: Draw, shares: Tensor) -> Tensor:
    """One of K parts for each generator of `draw`, (B,), with these probabilities (K,)."""
    u = draw.uniform(1).to(shares)
    return (shares.cumsum(0) < u).sum(1).clamp(max=len(shares) - 1)


def normal() -> Callable[[Shape, Latents], Prior]:
    """N(0, I)."""
    return lambda image, latent: Normal()


def gaussians(parts: int = 32) -> Callable[[Shape, Latents], Prior]:
    """A learned mixture of Gaussians with full covariances."""
    return lambda image, latent: Gaussians(math.prod(latent), parts)


def vamp(parts: int = 100) -> Callable[[Shape, Latents], Prior]:
    """The mean posterior of learned images."""
    return lambda image, latent: Vamp(image, parts)
