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
from triptych.vae.densities import Density
from triptych.vae.model import Vae
from triptych.vae.objective import Elbo
from truths.affine import hidden, linear_vae


@torch.no_grad()
def scalar_vae(slope: float, offset: float, variance: float) -> Vae:
    """z ~ N(0, 1), x | z ~ N(z, 0.5) and q(z | x) = N(slope x + offset, variance)."""
    model = linear_vae(1, 1, 0.5)
    model.encoder.mean.weight.fill_(slope)
    model.encoder.mean.bias.fill_(offset)
    model.encoder.log_variance.copy_(hidden(torch.tensor([variance], dtype=torch.float64).log()))
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
