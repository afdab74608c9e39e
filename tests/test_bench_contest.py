"""The bench against peers: its arithmetic by hand, and that a child does the work it is told and says what it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from bench import __main__ as menu
from bench import contest, loading, peers, work
from bench.contest import OURS, Row, Spread
from bench.limits import Limits, line
from torch import nn

from triptych.errors import UsageError

LIMITS = Limits({"float32": 100e9, "bfloat16": 200e9}, 10e9)


def told(**changed: Any) -> dict[str, Any]:
    known = {"version": "1.0", "images": 4, "parameters": 1000, "flops": 8_000_000, "moved": 0, "how": "float32"}
    return {**known, "value": None, **changed}


def test_a_ratio_is_the_median_of_the_rounds_not_of_the_rates() -> None:
    sides = {OURS: told(), "peer": told(how="bfloat16")}
    rates = {OURS: [10.0, 30.0, 20.0], "peer": [10.0, 10.0, 20.0]}
    ours, theirs = contest.rows(sides, rates, {"peer": 1.6}, LIMITS)
    assert ours == Row(OURS, told(), Spread(20, 10, 30), pytest.approx(2e6 * 20 / 100e9))
    assert theirs.ratio == Spread(1, 1, 3)
    assert theirs.share == pytest.approx(2e6 * 10 / 200e9)
    assert theirs.goal == 1.6


def test_the_share_is_that_of_the_limit_that_binds() -> None:
    assert LIMITS.share(2.0, flops=100e9, moved=0, how="float32") == pytest.approx(0.5)
    assert LIMITS.share(2.0, flops=100e9, moved=0, how="bfloat16, channels last") == pytest.approx(0.25)
    assert LIMITS.share(2.0, flops=1e9, moved=5e9, how="float32") == pytest.approx(0.25)
    assert LIMITS.share(2.0, flops=0, moved=0, how="float32") is None
    assert line(LIMITS).endswith("100 GFLOP/s in float32, 200 GFLOP/s in bfloat16; 10.0 GB/s of memory")


def test_sides_that_do_other_work_are_told() -> None:
    assert contest.unlike(told(), told(parameters=1019)) == []
    assert contest.unlike(told(), told(parameters=1021)) == ["parameters"]
    assert contest.unlike(told(), told(images=8)) == ["flops"]  # as many operations for twice the images
    assert contest.unlike(told(value=1.0), told(value=1.1)) == ["value"]


def test_the_table_says_what_was_measured() -> None:
    found = contest.rows({OURS: told(), "peer": told()}, {OURS: [30.0], "peer": [20.0]}, {"peer": 1.6}, LIMITS)
    head, ours, theirs = contest.table(found).splitlines()
    assert head.split()[:3] == ["side", "version", "parameters"]
    assert ours.split()[:6] == [OURS, "1.0", "1,000", "2.0", "30.00", "0%"]
    assert theirs.split()[6:8] == ["1.50", "1.6"]


class Told:
    """A child whose works take as long as it is told."""

    def __init__(self, side: str, seconds: float) -> None:
        self.side, self.each, self.told, self.asked = side, seconds, told(), list[int]()

    def seconds(self, times: int) -> float:
        self.asked.append(times)
        return times * self.each


def test_each_side_works_for_as_long() -> None:
    fast, slow = Told(OURS, 0.01), Told("peer", 0.5)
    rates = contest.rounds([fast, slow], 3, 1.0)  # type: ignore[list-item]
    assert rates == {OURS: pytest.approx([400.0] * 3), "peer": pytest.approx([8.0] * 3)}
    assert fast.asked == [1, 1, 100, 100, 100]
    assert slow.asked == [1, 1, 2, 2, 2]


def test_operations_and_parameters_are_counted() -> None:
    net = nn.Linear(10, 12, bias=False)
    assert work.parameters((net,)) == 120
    with torch.no_grad():
        assert work.flops(lambda: net(torch.zeros(3, 10))) == 2 * 3 * 120


def test_the_fastest_way_is_found() -> None:
    a, small = torch.zeros(400, 400), torch.zeros(2, 2)
    assert work.fastest({"large": lambda: a @ a, "small": lambda: small @ small}, "processor") == "small"


def test_a_child_works_in_a_process_of_its_own() -> None:
    settings = {"threads": 1, "clock": "wall", "metric": "kid", "features": 4, "count": 50, "batch": 10}
    child = peers.Child("bench.metrics", OURS, settings)
    try:
        assert child.told["package"] == "triptych"
        assert child.told["images"] == 100
        assert 0 < child.seconds(1) < 60
    finally:
        child.close()


def test_without_peers_the_way_to_make_them_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_PEERS", str(tmp_path / "none"))
    assert peers.interpreter(OURS) == sys.executable
    with pytest.raises(UsageError, match="python -m bench peers"):
        peers.interpreter("diffusers")


def test_peers_are_pinned() -> None:
    lines = peers.WANTED.read_text(encoding="utf-8").split()
    assert lines == sorted(lines)
    assert all(line.count("==") == 1 for line in lines)


def test_crops_are_images_of_the_size_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setattr(loading, "LEAST", 2)
    monkeypatch.setattr(loading, "COUNT", 3)
    home = loading.crops(tmp_path, 32)
    files = sorted((home / "class").iterdir())
    assert len(files) == 3
    for path in files:
        with Image.open(path) as image:
            assert image.size == (32, 32)
    assert loading.crops(tmp_path, 32) == home
    assert loading.moved(2, 32) == 2 * 3 * 32 * 32 * 5


def test_all_benchmarks_are_listed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench"])
    menu.main()
    listed = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in listed} >= {"unet_step", "gan_step", "loading", "metrics", "limits", "digits"}
    assert all(len(line.split()) > 4 for line in listed)
    monkeypatch.setattr(sys, "argv", ["bench", "gan_stepp"])
    with pytest.raises(UsageError, match="did you mean 'gan_step'"):
        menu.main()
