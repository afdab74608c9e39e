"""The bench of a small set: its measure by hand, and that its images stay apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bench.few import overfit, slice_of, table


def test_overfitting_by_hand() -> None:
    real, made = torch.tensor([3.0, 5.0]), torch.tensor([-1.0, 1.0])
    assert overfit(real, real.flip(0), made) == 0  # unseen images look as real
    assert overfit(real, made, made) == 1  # unseen images look generated
    assert overfit(real, torch.tensor([3.0]), made) == pytest.approx(0.25)


def test_the_slice_shares_no_image_with_the_others(tmp_path: Path) -> None:
    for side, count in (("train", 9), ("test", 3)):
        (tmp_path / "all" / side / "cat").mkdir(parents=True)
        for number in range(count):
            (tmp_path / "all" / side / "cat" / f"{number}.jpg").write_text(f"{side} {number}", encoding="utf-8")
    few, others = slice_of(tmp_path / "all", "cat", 4, tmp_path / "out")
    taught, held, rest = (
        {path.read_text(encoding="utf-8") for path in folder.rglob("*.jpg")}
        for folder in (few / "train", few / "test", others)
    )
    assert taught == {f"train {number}" for number in range(4)}
    assert rest == {f"train {number}" for number in range(4, 9)}
    assert len(held) == 3


def test_the_table_says_the_interval() -> None:
    row = {"augment": "ada", "seen": 1000, "p": 0.25, "overfit": 0.5, "distance": None}
    text = table([{**row, "copies": 0.01, "copies_low": 0.001, "copies_high": 0.02}])
    assert "0.10% to 2.00%" in text
