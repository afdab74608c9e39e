"""A linear Gaussian model, in which everything that a VAE approximates is known in closed form.

z ~ N(0, I), x = b + sum_i w_i z_i u_i + noise of deviation s, with orthonormal u_i (Bishop 2006, section 12.2).
The posterior is then diagonal: mean w_i u_i (x - b) / (w_i^2 + s^2), variance s^2 / (w_i^2 + s^2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Likelihood, Model, Shape


class Linear(Model):
    """Weights w (D,); `off` moves the posterior away from the true one, so that the bound is no longer exact."""

    classes = 0

    def __init__(self, weights: Tensor, shape: Shape = (1, 4, 4), noise: float = 0.1, off: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        basis = torch.linalg.qr(torch.randn(math.prod(shape), len(weights), generator=generator)).Q
        self.image_shape, self.latent_shape = shape, (len(weights),)
        self.w, self.u, self.noise, self.off = weights, basis, noise, off

    def posterior(self, x: Tensor) -> Normal:
        total = self.w**2 + self.noise**2
        mean = (x.flatten(1) @ self.u) * self.w / total
        return Normal(mean + self.off, (self.noise / total.sqrt()).expand_as(mean))

    def marginal(self) -> MultivariateNormal:
        """p(x) of flat images."""
        scaled = self.u * self.w
        covariance = scaled @ scaled.T + self.noise**2 * torch.eye(len(self.u))
        return MultivariateNormal(torch.zeros(len(self.u)), covariance)

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        return ((z * self.w) @ self.u.T).view(-1, *self.image_shape)

    def sample(self, draw: Draw, given: Given = NOTHING, temperature: float = 1.0, pixels: str = "mean") -> Tensor:
        x = self.decode(temperature * draw.normal(*self.latent_shape))
        return x + self.noise * draw.normal(*self.image_shape) if pixels == "draw" else x

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        posterior = self.posterior(x)
        return posterior.mean if draw is None else posterior.mean + posterior.stddev * draw.normal(*self.latent_shape)

    def spent(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        return kl_divergence(self.posterior(x), Normal(0.0, 1.0))

    def log_likelihood(self, x: Tensor, draw: Draw, given: Given = NOTHING, samples: int = 4) -> Likelihood:
        posterior, flat = self.posterior(x), x.flatten(1)
        weights = []
        for e in draw.normal(samples, *self.latent_shape).unbind(1):
            z = posterior.mean + posterior.stddev * e
            seen = Normal(self.decode(z).flatten(1), self.noise).log_prob(flat).sum(1)
            weights.append(seen + (Normal(0.0, 1.0).log_prob(z) - posterior.log_prob(z)).sum(1))
        return Likelihood(torch.stack(weights).logsumexp(0) - math.log(samples), bound=True)
