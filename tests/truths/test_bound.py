"""The bound against models whose likelihood has a closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from triptych.chance import Draw
from triptych.core import Batch
from triptych.pixels import LEVELS
from triptych.vae.autoencoder import Untold
from triptych.vae.densities import STEP, Density
from triptych.vae.likelihood import Located
from triptych.vae.model import Vae
from triptych.vae.objective import Elbo


def density(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Gaussian noise without bins, for which everything is linear algebra."""
    return Normal(location, scale).log_prob(x)


class Affine(nn.Module):
    """Images (B, D, 1, 1) to a posterior with a linear mean and the same variance for every image."""

    def __init__(self, pixels: int, latent: int) -> None:
        super().__init__()
        self.mean = nn.Linear(pixels, latent)
        self.log_variance = nn.Parameter(torch.zeros(latent))

    def forward(self, x: Tensor) -> Tensor:
        mean = self.mean(x.flatten(1))
        return torch.cat([mean, self.log_variance.expand_as(mean)], dim=1)


def linear_vae(pixels: int, latent: int, variance: float) -> Vae:
    """x | z ~ N(W z + b, variance), fixed; q(z | x) = N(A x + a, fixed diagonal); in float64."""
    decoder = nn.Sequential(nn.Linear(latent, pixels), nn.Unflatten(1, (pixels, 1, 1)))
    noise = Located(pixels, Density(density, torch.special.ndtri))
    model = Vae((pixels, 1, 1), (latent,), Affine(pixels, latent), Untold(decoder), noise).double()
    nn.init.constant_(noise.log_scale, math.log(math.sqrt(variance) - STEP / 2))
    return model


@torch.no_grad()
def scalar_vae(slope: float, offset: float, variance: float) -> Vae:
    """z ~ N(0, 1), x | z ~ N(z, 0.5) and q(z | x) = N(slope x + offset, variance)."""
    model = linear_vae(1, 1, 0.5)
    model.encoder.mean.weight.fill_(slope)
    model.encoder.mean.bias.fill_(offset)
    model.encoder.log_variance.fill_(10 * math.atanh(math.log(variance) / 10))  # undoes the soft limit
    model.decoder.net[0].weight.fill_(1)
    model.decoder.net[0].bias.zero_()
    return model


class Shared(Draw):
    """The noise of many images at once, for means over hundreds of thousands of draws."""

    def __init__(self, count: int) -> None:
        super().__init__([0])
        self._parts = [(count, self._parts[0][1])]


LOG_P = -1.685004  # log N(1.3; 0, 1.5)


@torch.no_grad()
@pytest.mark.parametrize(("samples", "truth"), [(1, -2.430), (2, -1.940), (5, -1.755), (20, -1.700)])
def test_importance_weighted_bound(samples: int, truth: float) -> None:
    count = 200_000
    x = torch.full((count, 1, 1, 1), 1.3, dtype=torch.float64)
    likelihood = scalar_vae(0, 0.3, 0.8).log_likelihood(x, Shared(count), samples=samples)
    band = 5 * float(likelihood.nats.std()) / math.sqrt(count)
    assert likelihood.bound
    assert float(likelihood.nats.mean()) == pytest.approx(truth, abs=band + 5e-4)  # the truth has 3 decimals
    assert float(likelihood.nats.mean()) < LOG_P + band


@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 3, 17])
def test_exact_posterior_makes_every_weight_equal(samples: int) -> None:
    model = scalar_vae(2 / 3, 0, 1 / 3)
    x = torch.tensor([1.3, -0.4, 2.0], dtype=torch.float64).view(3, 1, 1, 1)
    nats = model.log_likelihood(x, Draw(range(3)), samples=samples).nats
    exact = Normal(0, torch.tensor(1.5).double().sqrt()).log_prob(x.flatten())
    torch.testing.assert_close(nats, exact, rtol=0, atol=1e-12)
    assert float(nats[0]) == pytest.approx(LOG_P, abs=1e-6)


@torch.no_grad()
def test_uniform_data_cost_exactly_eight_bits() -> None:
    def uniform(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        return torch.full_like(x, -math.log(LEVELS))

    model = linear_vae(12, 2, 0.1)
    model.noise.density = Density(uniform, torch.special.ndtri)
    nn.init.zeros_(model.encoder.mean.weight)
    nn.init.zeros_(model.encoder.mean.bias)
    x = torch.randint(LEVELS, (16, 12, 1, 1)).double() / 127.5 - 1
    bits = model.log_likelihood(x, Draw(range(16)), samples=8).bits_per_dim((12, 1, 1))
    torch.testing.assert_close(bits, torch.full_like(bits, 8), rtol=0, atol=1e-12)
    _, stats = Elbo().turns(model)[0].loss(Batch(x), 0)
    assert float(stats["bound"]) == pytest.approx(8, abs=1e-12)


STEPS = 500  # of Adam, until the linear models stand still


def whitened(count: int, variances: Tensor) -> Tensor:
    """Rows whose covariance is diag(variances) exactly and whose mean is zero."""
    rows = torch.randn(count, len(variances), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    orthonormal = torch.linalg.qr(rows - rows.mean(0)).Q
    return orthonormal * (count * variances).sqrt()


@pytest.mark.parametrize(("beta", "active"), [(1.0, 4), (7.0, 2)])
def test_a_latent_collapses_iff_it_varies_at_most_beta_times_the_noise(beta: float, active: int) -> None:
    variances, noise = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.1], dtype=torch.float64), 0.2
    x = whitened(256, variances)[:, :, None, None]
    torch.manual_seed(0)
    model = linear_vae(5, 5, noise)
    (turn,) = Elbo(beta).turns(model)
    moves = [p for p in turn.moves if p is not model.noise.log_scale]
    optimiser = torch.optim.Adam(moves, 0.1)
    ramp = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for step in range(STEPS):
        losses, stats = turn.loss(Batch(x), step)
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        ramp.step()
    assert int(stats["active"]) == active == int((variances > beta * noise).sum())
    optimum = (variances - beta * noise).clamp(min=0)
    found = torch.linalg.svdvals(model.decoder.net[0].weight.detach()) ** 2
    torch.testing.assert_close(found, optimum, rtol=0.05, atol=0.02)
