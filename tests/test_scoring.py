"""The score in the loop: what is logged, which weights are kept, and what it may cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tiny import TINY
from triptych import scoring, store
from triptych.commands.train import train
from triptych.data import open_data
from triptych.evaluation import reference, summarise
from triptych.extractors import extractor
from triptych.metrics.fid import frechet
from triptych.sampling import generate
from triptych.screen import Screen
from triptych.training.logbook import read
from triptych.training.monitors import SCORE

QUIET = Screen(quiet=True)
FEW = 300


@pytest.fixture(autouse=True)
def _fewer_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "IMAGES", FEW)  # for speed; the score is the same formula


def run(out: Path, scores: int | None, images: int = 20_000, name: str = "dcgan") -> list[dict[str, float]]:
    train(name, "digits", out=str(out), images=images, scores=scores, set=TINY[name], screen=QUIET)
    return [line for line in read(out / "metrics.jsonl") if SCORE in line]


def test_scores_are_those_of_the_weights_kept(tmp_path: Path) -> None:
    lines = run(tmp_path / "run", 2)
    assert lines
    best = min(lines, key=lambda line: line[SCORE])
    kept = json.loads((tmp_path / "run" / "best" / "score.json").read_text(encoding="utf-8"))
    assert (kept["value"], kept["seen"]) == (best[SCORE], best["seen"])
    assert store.best_score(tmp_path / "run") == best[SCORE]
    look = extractor("bundled")
    made = summarise(generate(store.load(tmp_path / "run" / "best"), range(FEW), batch=128), look)
    real = reference(open_data("digits").train, "train", look)
    assert frechet(real.moments, made.moments) == pytest.approx(best[SCORE], rel=1e-6)


def test_no_scores_where_nobody_wants_them(tmp_path: Path) -> None:
    assert run(tmp_path / "run", 0, images=256) == []
    assert not (tmp_path / "run" / "best").exists()


def test_a_short_run_is_not_held_up(tmp_path: Path) -> None:
    assert run(tmp_path / "run", None, images=256) == []  # a score takes longer than a fifth of the training


def test_scores_change_nothing_of_the_training(tmp_path: Path) -> None:
    run(tmp_path / "scored", 2)
    run(tmp_path / "unscored", 0)
    one, other = (store.load(tmp_path / name).state_dict() for name in ("scored", "unscored"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_worse_score_does_not_replace_the_best(tmp_path: Path) -> None:
    lines = run(tmp_path / "run", 2)
    score = tmp_path / "run" / "best" / "score.json"
    score.write_text(json.dumps({"value": 0.0, "seen": 1}))
    later = run(tmp_path / "run", 2, images=30_000)
    assert len(later) >= len(lines)
    assert json.loads(score.read_text())["value"] == 0.0
