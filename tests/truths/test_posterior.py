"""The diagonal Gaussian posterior against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from triptych.vae import prior
from triptych.vae.posterior import Posterior


def hermite(nodes: int = 8) -> tuple[Tensor, Tensor]:
    """Noise (N, 1) and weights (N,) whose weighted sum is the exact mean of polynomials under N(0, 1)."""
    e, w = np.polynomial.hermite_e.hermegauss(nodes)
    return torch.from_numpy(e)[:, None], torch.from_numpy(w / math.sqrt(2 * math.pi))


@pytest.fixture
def posterior() -> Posterior:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 5, 3, dtype=torch.float64, generator=generator)
    return Posterior(mean.requires_grad_(), log_variance.requires_grad_())


def test_kl_is_the_textbooks(posterior: Posterior) -> None:
    deviation = (0.5 * posterior.log_variance).exp()
    book = kl_divergence(Normal(posterior.mean, deviation), Normal(0.0, 1.0))
    torch.testing.assert_close(posterior.kl(), book, rtol=0, atol=1e-12)


def test_kl_of_the_prior_is_zero() -> None:
    assert Posterior(torch.zeros(2, 3), torch.zeros(2, 3)).kl().abs().max() == 0


def test_gradient_of_kl(posterior: Posterior) -> None:
    def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
        return Posterior(mean, log_variance).kl()

    assert torch.autograd.gradcheck(kl, tuple(posterior), eps=1e-5, atol=1e-9)
    slope_mean, slope = torch.autograd.grad(posterior.kl().sum(), tuple(posterior))
    torch.testing.assert_close(slope_mean, posterior.mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(slope, (posterior.log_variance.exp() - 1) / 2, rtol=0, atol=1e-12)


def test_reparameterised_gradient_of_the_mean_square() -> None:
    mean = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    deviation = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    noise, weights = hermite()
    z = Posterior(mean, 2 * deviation.log()).at(noise)
    slopes = torch.autograd.grad((weights * z[:, 0] ** 2).sum(), (mean, deviation))
    torch.testing.assert_close(torch.stack(slopes), 2 * torch.stack([mean, deviation]), rtol=0, atol=1e-12)


def test_mean_log_ratio_of_prior_and_posterior_is_minus_the_kl() -> None:
    noise, weights = hermite()
    posterior = Posterior(torch.full_like(noise, 0.4), torch.full_like(noise, -1.1))
    z = posterior.at(noise)
    ratio = prior.Normal().log_prob(z, lambda x: posterior) - posterior.log_prob(z)
    mean = (weights * ratio).sum()
    torch.testing.assert_close(mean, -posterior.kl()[0, 0], rtol=0, atol=1e-12)
