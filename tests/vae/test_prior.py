"""Priors: log-densities against closed forms, draws against log-densities."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal
from torch.distributions import Normal as Univariate

from triptych.chance import Draw
from triptych.errors import UsageError
from triptych.vae.posterior import Posterior
from triptych.vae.prior import Gaussians, Normal, Prior, Vamp, gaussians, normal, vamp

LATENT = (2, 1, 2)


def encode(x: Tensor) -> Posterior:
    """A posterior for each image: its first four values, and a fixed variance."""
    mean = x.flatten(1)[:, :4].view(len(x), *LATENT)
    return Posterior(mean, torch.full_like(mean, -1.0))


def priors() -> list[Prior]:
    torch.manual_seed(0)
    made = [make((1, 2, 2), LATENT) for make in (normal(), gaussians(3), vamp(5))]
    torch.nn.init.normal_(made[1].lower, 0, 0.3)  # type: ignore[arg-type]
    torch.nn.init.normal_(made[1].log_diagonal, 0, 0.3)  # type: ignore[arg-type]
    torch.nn.init.normal_(made[1].logits)  # type: ignore[arg-type]
    return [prior.double() for prior in made]


@torch.no_grad()
def test_a_mixture_is_that_of_its_parts() -> None:
    prior, z = priors()[1], torch.randn(7, *LATENT, dtype=torch.float64)
    assert isinstance(prior, Gaussians)
    parts = MultivariateNormal(prior.mean, precision_matrix=prior.root().mT @ prior.root())
    expected = (parts.log_prob(z.flatten(1)[:, None]) + prior.logits.log_softmax(0)).logsumexp(1)
    torch.testing.assert_close(prior.log_prob(z, encode), expected, rtol=0, atol=1e-10)


@torch.no_grad()
def test_a_vamp_is_the_mean_of_posteriors() -> None:
    prior, z = priors()[2], torch.randn(7, *LATENT, dtype=torch.float64)
    assert isinstance(prior, Vamp)
    q = encode(prior.images.tanh())
    parts = Independent(Univariate(q.mean.flatten(1), (0.5 * q.log_variance).exp().flatten(1)), 1)
    expected = parts.log_prob(z.flatten(1)[:, None]).logsumexp(1) - math.log(5)
    torch.testing.assert_close(prior.log_prob(z, encode), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("which", [0, 1, 2])
@torch.no_grad()
def test_draws_come_from_the_density(which: int) -> None:
    """E exp(log q - log p) over draws of p is 1 for any density q inside it, and the first moments agree."""
    prior, count = priors()[which], 20_000
    z = prior.draw(Draw(range(count)), LATENT, encode).double()
    narrow = Independent(Univariate(torch.zeros(4).double(), torch.full((4,), 0.5).double()), 1)
    ratio = (narrow.log_prob(z.flatten(1)) - prior.log_prob(z, encode)).exp()
    assert float(ratio.mean()) == pytest.approx(1, abs=5 * float(ratio.std()) / math.sqrt(count))
    torch.testing.assert_close(prior.draw(Draw([5]), LATENT, encode).double(), z[5:6], rtol=0, atol=1e-6)


@torch.no_grad()
def test_a_low_temperature_draws_near_the_centres() -> None:
    for prior in priors():
        cold = prior.draw(Draw(range(200)), LATENT, encode, temperature=0.01).flatten(1)
        warm = prior.draw(Draw(range(200)), LATENT, encode).flatten(1)
        assert float((cold - warm).square().sum()) > 0
        assert (
            prior.log_prob(cold.view(-1, *LATENT).double(), encode).mean()
            > prior.log_prob(warm.view(-1, *LATENT).double(), encode).mean()
        )


@torch.no_grad()
def test_the_cost_of_a_posterior_is_its_divergence_on_average() -> None:
    q = Posterior(torch.full((50_000, *LATENT), 0.4).double(), torch.full((50_000, *LATENT), -0.7).double())
    z = q.at(torch.randn(50_000, *LATENT, dtype=torch.float64))
    exact = float(q.kl()[0].sum())
    drawn = Prior.kl(Normal(), q, z, encode)
    assert float(drawn.mean()) == pytest.approx(exact, abs=5 * float(drawn.std()) / math.sqrt(50_000))
    assert float(Normal().kl(q, z, encode).sum(1).mean()) == pytest.approx(exact)


@pytest.mark.parametrize("make", [gaussians, vamp])
def test_no_parts_are_refused(make: type) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        make(0)((1, 2, 2), LATENT)
