"""The pictures of the page show what the code computes now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from truths.pictures import PICTURES

DOCS = Path(__file__).parent.parent.parent / "docs"
NUMBER = re.compile("[-\N{MINUS SIGN}]?\\d+\\.?\\d*(?:e[-\N{MINUS SIGN}]?\\d+)?")


def numbers(text: str) -> list[float]:
    return [float(word.replace("\N{MINUS SIGN}", "-")) for word in NUMBER.findall(text)]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_that_of_the_present_numbers(name: str) -> None:
    """Places on the page, a width of 640, to 0.2; words to the letter."""
    drawn = PICTURES[name].svg()
    there = (DOCS / "pictures" / f"truth-{name}.svg").read_text(encoding="utf-8")
    assert NUMBER.sub("", there) == NUMBER.sub("", drawn), "run python tools/draw_truths.py"
    assert numbers(there) == pytest.approx(numbers(drawn), abs=0.2), "run python tools/draw_truths.py"


@pytest.mark.parametrize("name", PICTURES)
def test_the_page_shows_every_picture(name: str) -> None:
    assert f"(pictures/truth-{name}.svg)" in (DOCS / "truths.md").read_text(encoding="utf-8")


def test_the_tests_that_the_page_names_are_there() -> None:
    text = (DOCS / "truths.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 20
    for path, test in named:
        assert f"def {test}" in (DOCS.parent / path).read_text(encoding="utf-8"), (path, test)
