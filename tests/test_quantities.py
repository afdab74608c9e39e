"""Amounts, read at the door."""

from __future__ import annotations

import pytest

from triptych.errors import UsageError
from triptych.quantities import clock, count, seconds, size


@pytest.mark.parametrize(
    ("text", "number"), [(7, 7), ("200_000", 200_000), ("1.5k", 1500), ("2M", 2_000_000), (" 3g ", 3_000_000_000)]
)
def test_count(text: int | str, number: int) -> None:
    assert count(text, "--images") == number


@pytest.mark.parametrize("text", [0, -1, "0", "1e3", "0x10", "", "nan", "inf", "2.5", "٣", True, 10**20, "1k5"])
def test_count_refuses(text: int | str) -> None:
    with pytest.raises(UsageError, match="--images is"):
        count(text, "--images")


@pytest.mark.parametrize(
    ("text", "span"),
    [(90, 90), ("90s", 90), ("10min", 600), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172800), (0.5, 0.5)],
)
def test_seconds(text: float | str, span: float) -> None:
    assert seconds(text, "--for") == span


@pytest.mark.parametrize("text", [0, -5, "ten", "10 parsecs", "", "nan", "1e9h", "m", float("inf")])
def test_seconds_refuses(text: float | str) -> None:
    with pytest.raises(UsageError, match="--for is"):
        seconds(text, "--for")


def test_size() -> None:
    assert size(64, "--size") == size("64", "--size") == (64, 64)
    assert size("48x64", "--size") == size((48, 64), "--size") == (48, 64)
    for wrong in ("0", "1x2x3", "x", "-4", "5000", "big"):
        with pytest.raises(UsageError, match="--size"):
            size(wrong, "--size")


def test_clock() -> None:
    assert [clock(s) for s in (5.2, 200, 7500)] == ["5 s", "3 min 20 s", "2 h 05 min"]
