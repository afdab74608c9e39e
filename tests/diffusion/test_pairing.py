"""Noise dealt out within a batch."""

from __future__ import annotations

import itertools

import pytest
import torch

from triptych import chance
from triptych.diffusion.pairing import independent, nearest, transport
from triptych.errors import UsageError

X = torch.randn(5, 2, 3, 4, generator=torch.Generator().manual_seed(0))


def test_transport_is_the_best_of_all_ways() -> None:
    """Against every permutation of five."""
    chance.reseed(1)
    noise = torch.randn_like(X)
    chance.reseed(1)
    dealt = transport(X)
    best = min(
        ((X - noise[list(order)]).square().sum().item() for order in itertools.permutations(range(5))),
    )
    assert (X - dealt).square().sum().item() == pytest.approx(best, rel=1e-6)
    assert torch.equal(dealt.flatten(1).sum(1).sort().values, noise.flatten(1).sum(1).sort().values)


def test_the_nearest_noise_is_nearest() -> None:
    chance.reseed(1)
    all_noise = torch.randn(7, *X.shape)
    chance.reseed(1)
    chosen = nearest(7)(X)
    apart = (all_noise - X).square().flatten(2).sum(2)
    torch.testing.assert_close((chosen - X).square().flatten(1).sum(1), apart.min(0).values)
    with pytest.raises(UsageError, match="1 or more"):
        nearest(0)


@pytest.mark.parametrize("pair", [independent, nearest(1)], ids=["independent", "nearest of one"])
def test_noise_that_knows_nothing(pair: type) -> None:
    chance.reseed(0)
    noise = pair(torch.ones(4000, 1, 1, 1))
    assert noise.mean().item() == pytest.approx(0, abs=5 / 4000**0.5)
    assert noise.var().item() == pytest.approx(1, rel=5 * (2 / 4000) ** 0.5)
