"""The noise of the decoder: probabilities that sum to one, with exact tails."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from triptych.core import Likelihood
from triptych.pixels import LEVELS, to_float
from triptych.vae.densities import (
    STEP,
    gaussian,
    laplace,
    logistic,
)

Log = Callable[[Tensor, Tensor, Tensor], Tensor]
NOISES = pytest.mark.parametrize("noise", [gaussian, logistic, laplace])
LOCATIONS = torch.tensor([-3.0, -1.0, -0.5, 0.0013, 0.4, 1.0, 2.0], dtype=torch.float64)
SCALES = [STEP / 2, 0.05, 0.4, 3.0]


def values() -> Tensor:
    """All 256 values as the models see them, (256, 1) in float64."""
    return torch.arange(LEVELS, dtype=torch.float64)[:, None] / 127.5 - 1


@NOISES
@pytest.mark.parametrize("scale", SCALES)
def test_256_probabilities_sum_to_one(noise: Log, scale: float) -> None:
    nats = noise(values(), LOCATIONS, torch.tensor(scale, dtype=torch.float64))  # (256, locations)
    torch.testing.assert_close(nats.exp().sum(0), torch.ones_like(LOCATIONS), rtol=0, atol=1e-12)


@NOISES
@pytest.mark.parametrize("scale", SCALES)
def test_float32_agrees(noise: Log, scale: float) -> None:
    grid = to_float(torch.arange(LEVELS, dtype=torch.uint8).view(LEVELS, 1, 1, 1)).view(LEVELS, 1)
    nats = noise(grid, LOCATIONS.float(), torch.tensor(scale))
    exact = noise(values(), LOCATIONS, torch.tensor(scale, dtype=torch.float64))
    torch.testing.assert_close(nats.double(), exact, rtol=2e-4, atol=2e-4)


@NOISES
def test_scale_is_the_standard_deviation(noise: Log) -> None:
    scale = torch.tensor(0.05, dtype=torch.float64)
    chances = noise(values(), torch.zeros((), dtype=torch.float64), scale).exp()
    variance = (chances * values() ** 2).sum() - STEP**2 / 12  # what binning adds (Sheppard)
    torch.testing.assert_close(variance.sqrt(), scale, rtol=1e-5, atol=0)


def test_gaussian_is_density_times_step_away_from_the_ends() -> None:
    x, location, scale = values()[100:150], torch.tensor(-0.1, dtype=torch.float64), torch.tensor(0.3)
    density = Normal(location, scale.double()).log_prob(x) + math.log(STEP)
    torch.testing.assert_close(gaussian(x, location, scale.double()), density, rtol=0, atol=1e-4)


@NOISES
def test_far_tails_are_finite_and_pull_back(noise: Log) -> None:
    location = torch.tensor([-40.0, 40.0], requires_grad=True)
    scale = torch.tensor(STEP / 2, requires_grad=True)
    nats = noise(torch.tensor([0.5, -1.0]), location, scale)
    (-nats.sum()).backward()
    assert torch.isfinite(nats).all()
    assert torch.isfinite(scale.grad).all()
    assert location.grad[0] < 0 < location.grad[1]


@NOISES
def test_gradient(noise: Log) -> None:
    x = values()[[0, 1, 128, 254, 255], 0]
    location = torch.linspace(-0.9, 0.8, 5, dtype=torch.float64).requires_grad_()
    scale = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m, s: noise(x, m, s), (location, scale), atol=1e-7)


@NOISES
def test_no_location_beats_eight_bits_on_uniform_values(noise: Log) -> None:
    nats = noise(values(), LOCATIONS, torch.tensor(0.7, dtype=torch.float64))
    assert (Likelihood(nats.mean(0), bound=False).bits_per_dim((1, 1, 1)) > 8).all()


def test_uniform_values_cost_eight_bits() -> None:
    nats = torch.tensor(-3 * 5 * 7 * math.log(LEVELS), dtype=torch.float64)
    assert Likelihood(nats, bound=False).bits_per_dim((3, 5, 7)) == 8
