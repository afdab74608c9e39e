"""The approximate posterior q(z | x): a diagonal Gaussian, and its distance from the prior N(0, I).

Notation: B batch; z latent of any shape (B, ...), z = mean + deviation * noise, noise ~ N(0, I).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

LIMIT = 10.0  # |log variance| stays below this, so that no step overflows


class Posterior(NamedTuple):
    """q(z | x) = N(mean, diag(exp(log_variance))), one for each image."""

    mean: Tensor  # (B, ...)
    log_variance: Tensor  # (B, ...)

    def at(self, noise: Tensor) -> Tensor:
        """Reparameterised latents for noise of the same shape (Kingma and Welling 2013, section 2.4)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Tensor:
        """KL(q || N(0, I)) of each latent, in nats (Kingma and Welling 2013, appendix B)."""
        return 0.5 * (self.mean**2 + self.log_variance.exp() - 1 - self.log_variance)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z | x), (B,) in nats."""
        square = (z - self.mean) ** 2 * (-self.log_variance).exp()
        return -0.5 * (square + self.log_variance + math.log(2 * math.pi)).flatten(1).sum(1)


def posterior_of(answer: Tensor) -> Posterior:
    """The posterior whose mean and log-variance stand side by side in an encoder's answer (B, 2 D, ...)."""
    mean, raw = answer.chunk(2, dim=1)
    return Posterior(mean, LIMIT * (raw / LIMIT).tanh())
