"""The board tells what logs say."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from bench.board import Line, picture, rows, told

from triptych import recipe


def test_a_log_is_told(train_tiny: Any) -> None:
    run = Path(train_tiny("vae", 2).run)
    with (run / "metrics.jsonl").open("a") as file:
        for seconds, score in ((10.0, 3.0), (20.0, 1.0), (40.0, 2.0)):
            file.write(json.dumps({"seen": 400, "seconds": seconds, "score/FD-bundled": score}) + "\n")
    line = told(run)
    assert line == Line("vae", "vae", 10.0, 40.0, [(10.0, 3.0), (20.0, 1.0), (40.0, 2.0)])
    assert (line.at(10), line.at(30), line.at(40)) == (3.0, 1.0, 2.0)
    assert rows([line], 40.0)[2:] == ["| `vae` | vae | 10 | 3 | 1 | 2 | 1 |"]


def test_the_best_end_comes_first_and_no_score_last() -> None:
    lines = [Line("a", "gan", 1, 9, []), Line("b", "vae", 1, 9, [(9, 2.0)]), Line("c", "gan", 1, 9, [(9, 1.0)])]
    assert [row.split("`")[1] for row in rows(lines, 9)[2:]] == ["c", "b", "a"]
    assert rows(lines, 9)[-1] == "| `a` | gan | 1 | - | - | - | - |"


def test_the_picture_names_each_curve() -> None:
    svg = picture([Line("b", "vae", 1, 90, [(45, 100.0), (90, 10.0)]), Line("c", "gan", 1, 90, [(90, 1.0)])])
    assert "b from 2 at 45" in svg
    assert "power of ten" in svg


@pytest.mark.parametrize("name", recipe.read_file(Path(__file__).parent.parent / "bench" / "board.yaml"))
def test_every_line_is_of_a_model_and_a_recipe_that_there_are(name: str) -> None:
    root = Path(__file__).parent.parent
    for line in recipe.read_file(root / "bench" / "board.yaml")[name]:
        words = line.split()
        assert words[:1] == ["train"]
        files = [str(root / word) for word in words if word.startswith("recipes/")]
        changes = [change for flag, change in pairwise(words) if flag == "--set"]
        assert recipe.read(words[1], name, files[0] if files else None, changes)["about"]
