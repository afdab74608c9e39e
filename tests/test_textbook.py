"""The textbook's claims: judged by intervals, and the page follows from the committed results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import textbook  # noqa: E402


def model(value: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    estimate = {"value": value, "low": low, "high": high}
    trial = {"seed": 0, "scores": [{"key": "frechet", "estimate": estimate}]}
    return {"trials": [trial], "milliseconds": value, "probe": None, "bits": None, "failure": "", **more}


LOWEST = textbook.most("diffusion", textbook.by("frechet"), lowest=True)


def test_a_claim_holds_where_no_interval_touches() -> None:
    models = {"gan": model(5, 4, 6), "vae": model(9, 8, 10), "diffusion": model(2, 1, 3)}
    assert LOWEST(models).verdict == "holds"
    assert "diffusion 2 (1–3)" in LOWEST(models).numbers


def test_a_claim_fails_where_another_is_surely_better() -> None:
    models = {"gan": model(1, 0.5, 1.5), "vae": model(9, 8, 10), "diffusion": model(2, 1.6, 3)}
    assert LOWEST(models).verdict == "fails"


def test_nobody_can_tell_where_intervals_touch() -> None:
    models = {"gan": model(2.5, 2, 3.5), "vae": model(9, 8, 10), "diffusion": model(2, 1, 3)}
    assert LOWEST(models).verdict == "cannot tell"


def test_what_was_not_measured_is_no_answer() -> None:
    assert LOWEST({"gan": model(1, 1, 1)}).verdict == "not measured"


def test_seeds_widen_the_interval() -> None:
    both = model(2, 1, 3)
    both["trials"].append({"seed": 1, "scores": [{"key": "frechet", "estimate": {"value": 4, "low": 3.5, "high": 5}}]})
    assert textbook.score(both, "frechet") == (3, 1, 5)
    wide = textbook.spread(both)
    assert wide is not None
    assert wide[0] == pytest.approx(2**0.5 / 3)
    assert wide[1:] == pytest.approx((2**0.5 / 3 / 2.2414, 2**0.5 / 3 / 0.031338), rel=1e-3)  # |N(0, 1)| at 97.5%, 2.5%
    assert textbook.spread(model(2, 1, 3)) is None


def test_only_one_family_has_it() -> None:
    having = model(1, 1, 1, bits={"value": 3.0, "low": 2.9, "high": 3.1})
    assert textbook.only("vae", "bits")({"gan": model(1, 1, 1), "vae": having}).verdict == "holds"
    assert textbook.only("vae", "bits")({"gan": having, "vae": having}).verdict == "fails"


def test_the_page_is_that_of_the_committed_results() -> None:
    there = (ROOT / "docs" / "textbook.md").read_text(encoding="utf-8")
    assert textbook.page(textbook.reports()) == there, "run python tools/textbook.py"
