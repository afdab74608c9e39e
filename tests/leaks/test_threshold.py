"""The promise of a threshold, by simulation and in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.leaks.threshold import MARGIN, rank, threshold


def test_fewest_scores_for_a_promise() -> None:
    """The smallest of n scores is below the 1% quantile with 1 - 0.99^n."""
    n = math.ceil(math.log(0.05) / math.log(0.99))
    assert rank(n - 1, 0.01) == 0
    assert rank(n, 0.01) == 1


def test_the_promise_is_kept() -> None:
    """In 2,000 worlds with uniform scores, the true rate is above 1% in at most 5%, and not in far fewer."""
    draw = torch.Generator().manual_seed(0)
    rates = torch.rand(2000, 1000, generator=draw).sort(1).values[:, rank(1000, 0.01) - 1]
    assert 0.01 < float((rates > 0.01).double().mean()) < 0.06


def test_the_threshold_is_just_below_a_score() -> None:
    scores = torch.arange(1000.0, 0.0, -1)
    assert threshold(scores, 0.01) == pytest.approx(MARGIN * rank(1000, 0.01))


def test_too_few_scores_give_none() -> None:
    assert threshold(torch.rand(100), 0.01) is None
    assert threshold(torch.rand(0), 0.01) is None
