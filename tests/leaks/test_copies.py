"""Intervals against published and closed values; the warning before training."""

from __future__ import annotations

import pytest

from triptych.leaks.copies import FEW, MANY, Copies, too_few
from triptych.metrics.estimate import exact_interval


def test_none_found_is_the_rule_of_three_and_a_bit() -> None:
    """0 of n: the upper end is 1 - (alpha / 2)^(1 / n)."""
    found = Copies.of_counts(0, 10_000)
    assert found.low == 0
    assert found.high == pytest.approx(10_000 * (1 - 0.025 ** (1 / 10_000)), rel=1e-9)
    assert 3.6 < found.high < 3.7


def test_all_found_is_its_mirror_image() -> None:
    low, high = exact_interval(10, 10)
    assert (low, high) == (pytest.approx(0.025**0.1), 1.0)


def test_the_ends_are_where_the_count_becomes_unlikely() -> None:
    """At the ends of the interval, a count as far out as 7 of 50 has a chance of 2.5%."""
    from math import comb

    def at_most(k: int, p: float) -> float:
        return sum(comb(50, i) * p**i * (1 - p) ** (50 - i) for i in range(k + 1))

    low, high = exact_interval(7, 50)
    assert at_most(7, high) == pytest.approx(0.025, abs=1e-9)
    assert 1 - at_most(6, low) == pytest.approx(0.025, abs=1e-9)


def test_the_rate_is_for_ten_thousand() -> None:
    found = Copies.of_counts(3, 2_000)
    assert found.per_10_000 == 15
    assert found.low < 15 < found.high


@pytest.mark.parametrize(("images", "passes", "said"), [
    (FEW - 1, 1, "999 training images are few"),
    (50_000, MANY + 1, "501 passes over 50,000 training images are many"),
])  # fmt: skip
def test_a_warning_where_images_are_learnt_by_heart(images: int, passes: float, said: str) -> None:
    assert said in (too_few(images, passes) or "")


def test_no_warning_otherwise() -> None:
    assert too_few(FEW, MANY) is None
