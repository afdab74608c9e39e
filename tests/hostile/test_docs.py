"""The limits on the page are those of the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "safety.md"
ROWS = re.findall(r"\| ([\d,]+) \| `([\w.]+)\.([A-Z_]+)` \|", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("number", "room", "name"), ROWS)
def test_each_limit_is_the_one_in_the_code(number: str, room: str, name: str) -> None:
    assert int(number.replace(",", "")) == getattr(import_module(f"triptych.{room}"), name)


def test_no_limit_is_left_out() -> None:
    source = Path(import_module("triptych").__file__ or "").parent
    rooms = ("data/*.py", "intake.py", "recipe.py", "store.py")
    texts = [path.read_text(encoding="utf-8") for pattern in rooms for path in source.glob(pattern)]
    found = {name for text in texts for name in re.findall(r"^(MOST_\w+|DEEPEST|LONGEST_\w+) = ", text, re.M)}
    assert found - {name for _, _, name in ROWS} == {"MOST_LISTED", "MOST_RESIDENT"}  # these refuse nothing
