"""Distributions of levels: their moments, and that the loss stays unbiased."""

from __future__ import annotations

import math

import pytest
import torch

from triptych import chance
from triptych.diffusion.levels import Levels, importance, log_normal, logit_normal, uniform
from triptych.diffusion.paths import exploding, linear
from triptych.errors import UsageError

TABLE = exploding(1000).table.float()
N = 40_000


def test_uniform_levels_are_those_of_the_table() -> None:
    chance.reseed(0)
    table = linear().table.float()
    s, factor = uniform().draw(N, table)
    assert torch.isin(s, table).all()
    counts = torch.histc(torch.searchsorted(table, s).float(), 10, 0, 1000)
    assert (counts - N / 10).abs().max() < 5 * (N / 10) ** 0.5
    assert (factor == 1).all()


@pytest.mark.parametrize(("make", "mean", "deviation"), [(log_normal, -1.2, 1.2), (logit_normal, 0.0, 1.0)])
def test_normal_levels(make: type, mean: float, deviation: float) -> None:
    """ln s, which is the logit of t = s / (1 + s), has the moments that it says, within five standard errors."""
    chance.reseed(0)
    s, factor = make().draw(N, TABLE)
    logit = torch.log(s / (1 + s) / (1 - s / (1 + s)))
    assert logit.mean().item() == pytest.approx(mean, abs=5 * deviation / math.sqrt(N))
    assert logit.std().item() == pytest.approx(deviation, rel=5 / math.sqrt(2 * N) + 2e-3)
    assert (factor == 1).all()
    s, _ = make(mean=9.0).draw(100, TABLE)
    assert s.max() == TABLE[-1]


def taught(levels: Levels, rounds: int = 60) -> Levels:
    """Levels that have seen a loss that grows with the place in the table."""
    for _ in range(rounds):
        s, _ = levels.draw(500, TABLE)
        levels.follow(s, torch.searchsorted(TABLE, s) / 1000, TABLE)
    return levels


def test_importance_follows_the_losses() -> None:
    """Shares go with the root of the mean square loss, here the place itself."""
    chance.reseed(0)
    levels = taught(importance(bins=10, even=0.001))
    shares = levels.shares()
    torch.testing.assert_close(shares, (torch.arange(10) + 0.5) / 50, rtol=0.06, atol=0.002)
    s, _ = levels.draw(N, TABLE)
    drawn = torch.histc(torch.searchsorted(TABLE, s).float(), 10, 0, 1000) / N
    torch.testing.assert_close(drawn, shares, rtol=0, atol=5 / math.sqrt(N))


def test_importance_does_not_change_the_expected_loss() -> None:
    chance.reseed(0)
    levels = taught(importance(bins=10))
    s, factor = levels.draw(N, TABLE)
    loss = torch.searchsorted(TABLE, s) / 1000
    assert (factor * loss).mean().item() == pytest.approx(0.4995, abs=5 * (factor * loss).std().item() / math.sqrt(N))
    assert (factor * loss).std() < loss.std()  # what it is for


def test_what_importance_learnt_is_its_state() -> None:
    chance.reseed(0)
    one, other = taught(importance(bins=10)), importance(bins=10)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.shares(), other.shares())


@pytest.mark.parametrize("wrong", [{"bins": 0}, {"memory": 0}, {"even": 0.0}, {"even": 1.5}], ids=str)
def test_no_such_importance(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="levels: bins"):
        importance(**wrong)  # type: ignore[arg-type]


def test_no_deviation() -> None:
    with pytest.raises(UsageError, match="above 0"):
        log_normal(deviation=0.0)
