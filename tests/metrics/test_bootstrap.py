"""Intervals against the normal law of means."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.metrics.bootstrap import interval_around, interval_of_mean

VALUES = torch.randn(2000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 10
HALF = 1.96 * 3 / math.sqrt(2000)


def test_interval_of_a_mean_is_the_normal_one() -> None:
    """To 15%: 1,000 rounds know a quantile to about 5% of its distance from the mean."""
    value, low, high = interval_of_mean(VALUES)
    assert value == pytest.approx(float(VALUES.mean()), rel=1e-12)
    assert value - low == pytest.approx(HALF, rel=0.15)
    assert high - value == pytest.approx(HALF, rel=0.15)


def test_95_of_100_intervals_hold_the_truth() -> None:
    """300 means of 200 skewed values; between 90% and 98% of the intervals hold 1."""
    draw = torch.Generator().manual_seed(1)
    held = 0
    for _ in range(300):
        _, low, high = interval_of_mean(torch.empty(200).exponential_(generator=draw))
        held += low <= 1 <= high
    assert 0.90 <= held / 300 <= 0.98


def test_the_same_values_have_the_same_interval() -> None:
    assert interval_of_mean(VALUES) == interval_of_mean(VALUES.clone())


def test_constant_values_have_no_width() -> None:
    assert interval_of_mean(torch.full((50,), 2.0)) == (2.0, 2.0, 2.0)


def test_infinite_values_stay_infinite() -> None:
    assert interval_of_mean(torch.full((50,), math.inf)) == (math.inf, math.inf, math.inf)


def test_around_a_value_a_constant_does_not_matter() -> None:
    assert interval_around(5.0, VALUES) == pytest.approx(interval_around(5.0, VALUES + 1000), rel=1e-9)
    mean = interval_of_mean(VALUES)
    assert interval_around(mean.value, VALUES) == pytest.approx(mean, rel=1e-9)


def test_more_rows_behind_a_value_narrow_it() -> None:
    wide, narrow = interval_around(0.0, VALUES), interval_around(0.0, VALUES, 4 * len(VALUES))
    assert narrow.high - narrow.low == pytest.approx((wide.high - wide.low) / 2)
