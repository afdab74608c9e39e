"""The Inception Score at its ends and by hand."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.metrics.inception import inception_score


@pytest.mark.parametrize("classes", [2, 10])
def test_certain_and_even_is_the_number_of_classes(classes: int) -> None:
    logits = 1e4 * torch.eye(classes).repeat(50, 1)
    assert inception_score(logits).value == pytest.approx(classes, rel=1e-12)


@pytest.mark.parametrize("logits", [torch.zeros(500, 10), torch.tensor([[1e4, 0, -3.0]]).repeat(500, 1)])
def test_one_answer_for_all_is_one(logits: torch.Tensor) -> None:
    assert inception_score(logits) == pytest.approx((1, 1, 1), rel=1e-12)


def test_two_answers_by_hand() -> None:
    """Half (0.9, 0.1), half (0.1, 0.9): the class is even, so the score is 2 exp(-H(0.9, 0.1))."""
    rows = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64).log().repeat(100, 1)
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert inception_score(rows).value == pytest.approx(2 * math.exp(-entropy), rel=1e-12)


def test_the_interval_holds_the_spread_of_repetitions() -> None:
    """As for a mean: 60 sets of 500 rows, to 5 standard errors."""
    draw = torch.Generator().manual_seed(0)
    estimates = [inception_score(3 * torch.randn(500, 10, generator=draw)) for _ in range(60)]
    spread = float(torch.tensor([e.value for e in estimates]).std())
    width = sum(e.high - e.low for e in estimates) / len(estimates) / 2 / 1.96
    assert width == pytest.approx(spread, rel=5 / math.sqrt(2 * 59))
