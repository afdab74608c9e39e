"""Jumps of losses are found where they were planted, and only there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.growth import found, jump, moments, table

from triptych.gan.progressive import UNIT, level_after


def test_moments_are_where_the_level_turns() -> None:
    sides = [(4, 4), (8, 8), (16, 16)]
    rows = moments(sides, hold=100, fade=50)
    assert [row.seen for row in rows] == [100, 150, 250, 300]
    assert rows[0].words == "8x8 begins"
    assert rows[3].words == "16x16 is whole"
    for row, level in zip(rows, (0, UNIT, UNIT, 2 * UNIT), strict=True):
        assert level_after(row.seen, 100, 50, 3) == level
    assert level_after(101, 100, 50, 3) > 0


def test_a_planted_jump_is_measured() -> None:
    log = [{"seen": seen, "critic/loss": -1.0 if seen <= 500 else -3.0} for seen in range(100, 1100, 100)]
    assert jump(log, "critic/loss", 500, 4) == pytest.approx(3)
    assert jump(log, "critic/loss", 600, 4) == pytest.approx((36 / 12) ** 0.5)  # one line of three to the left
    assert jump(log, "critic/loss", 200, 4) is None  # too few lines before


def test_a_run_is_read(tmp_path: Path) -> None:
    recipe = "data: {image_shape: [3, 16, 16]}\nmodel: {core: 4}\nobjective: {hold: 400, fade: 400}\n"
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
    lines = [
        {"seen": seen, "seconds": 1.0, "critic/loss": 1.0, "generator/loss": 2.0 if seen > 800 else 1.0}
        for seen in range(100, 1600, 100)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    rows = found(tmp_path, 3)
    assert [(row["seen"], row["critic"], round(row["generator"], 9)) for row in rows] == [
        (400, 1, 1),
        (800, 1, 2),
        (1200, 1, 1),
    ]
    assert "16x16 begins" in table(rows)
