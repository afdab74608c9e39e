"""The approximate posterior q(z | x): a diagonal Gaussian, and its distance from the prior N(0, I).

Notation: B batch, D latents; z latent = mean + deviation * noise, noise ~ N(0, I).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Posterior(NamedTuple):
    """q(z | x) = N(mean, diag(exp(log_variance))), one for each image."""

    mean: Tensor  # (B, D)
    log_variance: Tensor  # (B, D)

    def at(self, noise: Tensor) -> Tensor:
        """Reparameterised latents (B, D) for noise (B, D) (Kingma and Welling 2013, section 2.4)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def kl(self) -> Tensor:
        """KL(q || N(0, I)) of each latent, (B, D) in nats (Kingma and Welling 2013, appendix B)."""
        return 0.5 * (self.mean**2 + self.log_variance.exp() - 1 - self.log_variance)

    def log_ratio(self, noise: Tensor) -> Tensor:
        """log p(z) - log q(z | x) at z = `at(noise)`, (B,) in nats; its mean over noise is minus the KL."""
        return 0.5 * (noise**2 + self.log_variance - self.at(noise) ** 2).sum(1)
