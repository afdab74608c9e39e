"""Schedules are functions of images seen."""

from __future__ import annotations

import math

import pytest

from triptych.ramps import always, cosine, delayed, inverse_root, linear, warm_up


def test_values() -> None:
    assert always(0) == always(10**9) == 1
    ramp = warm_up(100, start=0.2)
    assert [ramp(seen) for seen in (0, 50, 100, 1000)] == [0.2, pytest.approx(0.6), 1, 1]
    ramp = delayed(100, over=50)
    assert [ramp(seen) for seen in (0, 99, 100, 125, 150, 10**9)] == [0, 0, 0, 0.5, 1, 1]
    assert [delayed(100)(seen) for seen in (99, 100)] == [0, 1]
    ramp = linear(1000, warm=100, end=0.1)
    assert [ramp(seen) for seen in (0, 50, 100, 550, 1000, 5000)] == pytest.approx([0, 0.5, 1, 0.55, 0.1, 0.1])
    assert [linear(100)(seen) for seen in (0, 25, 100, 101)] == [1, 0.75, 0, 0]
    ramp = cosine(1000, warm=100, end=0.1)
    assert [ramp(seen) for seen in (0, 50, 100, 550, 1000, 5000)] == pytest.approx([0, 0.5, 1, 0.55, 0.1, 0.1])
    ramp = inverse_root(400, warm=100)
    assert [ramp(seen) for seen in (50, 100, 400, 1600)] == pytest.approx([0.5, 1, 1, 0.5])
    assert math.isfinite(inverse_root(1)(0))
