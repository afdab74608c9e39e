"""The judges of held modes, on samples with a known number of them; and that the players of the bench do play."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from bench import modes as bench
from bench.modes import LOSSES, PROBLEMS, Modes, Points, grid, judged, play, ring, table

from triptych import chance

EACH = pytest.mark.parametrize("problem", [ring, grid], ids=lambda problem: problem.__name__)


@EACH
def test_data_hold_every_mode(problem: Callable[[], Modes]) -> None:
    """The share within three deviations in the plane is 1 - exp(-9/2)."""
    modes = problem()
    found = judged(modes.points(20_000, chance.generator(0)), modes)
    truth = 1 - math.exp(-4.5)
    assert found["held"] == found["modes"] == {ring: 8, grid: 25}[problem]
    assert found["near"] == pytest.approx(truth, abs=5 * math.sqrt(truth * (1 - truth) / 20_000))


@EACH
def test_data_have_unit_variance(problem: Callable[[], Modes]) -> None:
    centres = problem().centres
    torch.testing.assert_close(centres.mean(0), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(centres.square().mean(0), torch.ones(2))


@EACH
@pytest.mark.parametrize("kept", [0, 1, 3, 7])
def test_a_planted_collapse_is_counted(problem: Callable[[], Modes], kept: int) -> None:
    modes = problem()
    points = (
        Modes(modes.centres[:kept], modes.deviation).points(2500, chance.generator(1)) if kept else torch.ones(9, 2)
    )
    assert judged(points, modes)["held"] == kept


def test_a_mode_is_held_by_twenty_points_near_it() -> None:
    modes = ring()
    reach = 3 * modes.deviation
    for count, way, held in ((20, 0.99, 1), (19, 0.99, 0), (20, 1.01, 0)):
        points = modes.centres[:1].expand(count, 2) + torch.tensor([0.0, way * reach])
        assert judged(points, modes)["held"] == held


def test_batches_follow_from_the_images_seen() -> None:
    points = Points(grid(), 3, 64)
    assert points.batch(512).images.shape == (64, 1, 1, 2)
    assert torch.equal(points.batch(512).images, Points(grid(), 3, 64).batch(512).images)
    assert not torch.equal(points.batch(0).images, points.batch(256).images)
    assert not torch.equal(points.batch(0).images, Points(grid(), 4, 64).batch(0).images)


@pytest.mark.parametrize("name", LOSSES)
def test_a_short_game(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "LOSSES", {name: LOSSES[name]._replace(steps=10)})
    row = play("ring", name, 0)
    assert row["problem"] in PROBLEMS
    assert (row["loss"], row["modes"]) == (name, 8)
    assert 0 <= row["near"] <= 1
    assert row["seconds"] > 0
    assert f"{row['held']} of 8" in table([row])
