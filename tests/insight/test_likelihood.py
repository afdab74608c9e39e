"""Scores of images against the exact likelihood of a linear Gaussian model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from blobs import blobs, source
from linear import Linear
from triptych.chance import Draw
from triptych.core import NOTHING, Given, Likelihood
from triptych.errors import NumericsError, UsageError
from triptych.gan.model import Generator
from triptych.insight import log_likelihoods
from triptych.metrics.bootstrap import interval_of_mean
from triptych.pixels import to_float

IMAGES = blobs(40, side=4)
WEIGHTS = torch.tensor([1.0, 0.7, 0.4])


@pytest.mark.parametrize("samples", [1, 5])
def test_with_the_true_posterior_the_score_is_the_exact_likelihood(samples: int) -> None:
    model = Linear(WEIGHTS)
    found = log_likelihoods(model, source(IMAGES), samples=samples)
    exact = model.marginal().log_prob(to_float(IMAGES).flatten(1)).double()
    torch.testing.assert_close(found.nats, exact, rtol=1e-4, atol=1e-3)
    assert interval_of_mean(found.nats).value == pytest.approx(float(exact.mean()), rel=1e-4)
    torch.testing.assert_close(found.bits, -exact / (16 * math.log(2)), rtol=1e-4, atol=1e-4)
    assert (found.bound, found.samples) == (True, samples)


def test_elsewhere_it_is_a_bound_and_tighter_with_more_draws() -> None:
    model = Linear(WEIGHTS, off=0.05)
    one, many = (log_likelihoods(model, source(IMAGES), samples=k).nats.mean() for k in (1, 50))
    exact = model.marginal().log_prob(to_float(IMAGES).flatten(1)).mean()
    assert one < many < exact + 0.01


def test_an_image_has_its_seeds_number_whatever_the_batch() -> None:
    model = Linear(WEIGHTS, off=0.3)
    together, apart = (log_likelihoods(model, source(IMAGES), seed=7, batch=size).nats for size in (40, 3))
    torch.testing.assert_close(together, apart, rtol=1e-6, atol=1e-4)
    alone = log_likelihoods(model, source(IMAGES[11:12]), seed=7 + 11).nats
    torch.testing.assert_close(alone, together[11:12], rtol=1e-6, atol=1e-4)
    other = log_likelihoods(model, source(IMAGES), seed=8).nats
    assert not torch.allclose(together, other)


def test_without_a_wish_the_model_says_how_many_draws() -> None:
    assert log_likelihoods(Linear(WEIGHTS), source(IMAGES[:2])).samples == 4


def test_what_cannot_be_scored() -> None:
    painter = Generator(nn.Sequential(nn.Linear(2, 16), nn.Unflatten(1, (1, 4, 4))), (1, 4, 4), 2)
    with pytest.raises(UsageError, match="does not score images; train one that does"):
        log_likelihoods(painter, source(IMAGES))
    with pytest.raises(UsageError, match="0 samples"):
        log_likelihoods(Linear(WEIGHTS), source(IMAGES), samples=0)


def test_a_model_without_draws_is_exact_and_takes_no_number() -> None:
    class Flat(Linear):
        def log_likelihood(self, x: torch.Tensor, draw: Draw, given: Given = NOTHING) -> Likelihood:  # type: ignore[override]
            return Likelihood(self.marginal().log_prob(x.flatten(1)), bound=False)

    found = log_likelihoods(Flat(WEIGHTS), source(IMAGES))
    assert (found.bound, found.samples) == (False, None)
    with pytest.raises(UsageError, match="--samples is for"):
        log_likelihoods(Flat(WEIGHTS), source(IMAGES), samples=3)


def test_a_broken_model_is_named_with_the_image() -> None:
    class Broken(Linear):
        def log_likelihood(self, x: torch.Tensor, draw: Draw, given: Given = NOTHING) -> Likelihood:  # type: ignore[override]
            return Likelihood(torch.tensor([0.0, -math.inf, math.nan]), bound=True)

    with pytest.raises(NumericsError, match="likelihood of 000001 is no finite number"):
        log_likelihoods(Broken(WEIGHTS), source(IMAGES[:3]))
