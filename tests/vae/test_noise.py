"""The decoder's likelihoods as values: probabilities that sum to one, means and draws that agree with them."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.errors import UsageError
from triptych.pixels import LEVELS
from triptych.vae.likelihood import Bernoulli, Mixture, Noise, bernoulli, gaussian, laplace, logistic, mixture

KINDS = pytest.mark.parametrize("kind", [logistic, gaussian, laplace, mixture])
GREY = torch.arange(LEVELS, dtype=torch.float64).view(LEVELS, 1, 1, 1) / 127.5 - 1


def answer(noise: Noise, images: int, sides: tuple[int, int], spread: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return spread * torch.randn(images, noise.answers, *sides, generator=generator, dtype=torch.float64)


@KINDS
@torch.no_grad()
def test_the_probabilities_of_a_pixel_sum_to_one(kind: type[Noise]) -> None:
    noise = kind((1, 1, 1)).double()
    a = answer(noise, 1, (1, 1)).expand(LEVELS, -1, 1, 1)
    assert float(noise.log_prob(GREY, a).exp().sum()) == pytest.approx(1, abs=1e-12)


@torch.no_grad()
def test_channels_that_lean_on_each_other_sum_to_one_too() -> None:
    """The second channel's probabilities, given each value of the first: all 256 x 256 pairs have mass 1."""
    noise = Mixture(2, 3).double()
    a = answer(noise, 1, (1, 1))
    pairs = torch.cartesian_prod(GREY.flatten(), GREY.flatten())[:, :, None, None]
    total = sum(float(noise.log_prob(part, a.expand(len(part), -1, 1, 1)).exp().sum()) for part in pairs.split(8192))
    assert total == pytest.approx(1, abs=1e-10)


@torch.no_grad()
def test_a_later_channel_is_told_by_an_earlier_one() -> None:
    noise = Mixture(3, 1).double()
    a = torch.zeros(1, noise.answers, 1, 1, dtype=torch.float64)
    a[0, 4:7] = -4.0  # the scales: narrow
    a[0, 7] = 20.0  # the factor of channel 0 for channel 1, tanh(20) = 1
    x = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64).view(1, 3, 1, 1)
    other = torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64).view(1, 3, 1, 1)
    assert noise.log_prob(x, a) > noise.log_prob(other, a) + 1


@KINDS
@torch.no_grad()
def test_draws_have_the_mean_and_follow_their_seeds(kind: type[Noise]) -> None:
    noise = kind((2, 1, 1)).double()
    a = answer(noise, 1, (1, 1), 0.3)
    draws = noise.draw(a.expand(20_000, -1, 1, 1), Draw(range(20_000)))
    assert draws.abs().max() <= 1
    band = 5 * float(draws.std()) / math.sqrt(20_000) + 0.01  # means are clamped part by part, draws value by value
    torch.testing.assert_close(draws.mean(0), noise.mean(a)[0], rtol=0, atol=band)
    torch.testing.assert_close(noise.draw(a, Draw([7])), draws[7:8], rtol=0, atol=0)


@torch.no_grad()
def test_bernoulli_is_the_log_odds_of_white() -> None:
    noise = bernoulli((1, 1, 2))
    a = torch.tensor([[[[math.log(3), -math.log(4)]]]])
    chances = [
        float(noise.log_prob(torch.tensor([[[list(x)]]]), a).exp()) for x in itertools.product((1.0, -1.0), repeat=2)
    ]
    assert chances == pytest.approx([0.75 * 0.2, 0.75 * 0.8, 0.25 * 0.2, 0.25 * 0.8])
    torch.testing.assert_close(noise.mean(a).flatten(), torch.tensor([0.5, -0.6]))
    assert set(noise.draw(a.expand(50, -1, -1, -1), Draw(range(50))).unique().tolist()) == {-1.0, 1.0}


def test_bernoulli_is_for_black_and_white() -> None:
    with pytest.raises(UsageError, match="threshold"):
        Bernoulli(1).log_prob(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2))


def test_a_mixture_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="parts"):
        mixture((1, 1, 1), 0)
