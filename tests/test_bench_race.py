"""The race: when a side has arrived, and what is told of it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench import race, work
from bench.race import OURS, Mark

TOLD = {
    "package": "triptych",
    "version": "1.0",
    "images": 64,
    "parameters": 1000,
    "flops": 64_000_000,
    "how": "float32",
}


class Runner:
    """A child whose steps take as long as it is told; the first is slower."""

    def __init__(self, each: float) -> None:
        self.side, self.each, self.told, self.asked = OURS, each, TOLD, list[int]()

    def seconds(self, times: int) -> float:
        self.asked.append(times)
        return times * self.each * (2 if len(self.asked) == 1 else 1)


def test_a_side_is_judged_at_marks_until_it_arrives() -> None:
    child, distances = Runner(0.5), iter([9.0, 3.0, 0.5, 0.1])
    found = race.course(child, [4, 8, 16, 32], 0.5, lambda child: next(distances))  # type: ignore[arg-type]
    assert [mark.distance for mark in found] == [9.0, 3.0, 0.5]
    assert [mark.seconds for mark in found] == [4.0, 8.0, 16.0]
    assert [mark.images for mark in found] == [64 * steps for steps in (7, 15, 31)]
    assert child.asked == [1, 3, 3, 8, 16]


def test_a_slow_side_passes_a_mark_and_is_judged_where_it_stands() -> None:
    found = race.course(Runner(3.0), [1, 10], 0.5, lambda child: 7.0)  # type: ignore[arg-type]
    assert [mark.seconds for mark in found] == [6.0, 12.0]


def test_what_a_side_took_is_told_beside_ours() -> None:
    assert race.outcome([Mark(40, 640, 9.0), Mark(80, 1280, 0.4)], 0.5, 10) == "reached in 80.0 s, 8.00 times as long"
    assert race.outcome([Mark(50, 800, 0.6)], 0.5, 10) == "not in 50.0 s: more than 5.00 times as long"
    line = race.row(TOLD, [Mark(40, 640, 9.0), Mark(80, 1280, 0.4)], 0.5, 10)
    assert line.split()[:6] == ["triptych", "1.0", "1,000", "1.0", "16.0", "1,280"]
    assert line.endswith("(float32; FD 9 at 40 s, 0.4 at 80 s)")


def test_each_image_comes_once_in_an_epoch() -> None:
    images = torch.arange(5)
    epochs = list(islice(race.shuffled(images, 2), 6))
    assert [len(batch) for batch in epochs] == [2, 2, 1, 2, 2, 1]
    assert all(sorted(torch.cat(epochs[start : start + 3]).tolist()) == [0, 1, 2, 3, 4] for start in (0, 3))


def test_numbers_are_cut_and_images_rounded() -> None:
    assert race.parts(2 * race.TOGETHER + 1) == [race.TOGETHER, race.TOGETHER, 1]
    assert race.to_bytes(torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])).tolist() == [0, 0, 128, 255, 255]


def test_a_side_is_asked_for_work_and_for_images(tmp_path: Path) -> None:
    images, done = torch.arange(8, dtype=torch.uint8).reshape(2, 1, 2, 2), list[int]()
    side = work.Work(lambda: done.append(1), 1, "torch", draw=lambda count: images[:count])
    assert 0 <= work.answer(side, 3, "wall") < 1  # type: ignore[operator]
    assert len(done) == 3
    assert np.array_equal(np.load(str(work.answer(side, [1, str(tmp_path / "a.npy")], "wall"))), images[:1].numpy())


def test_ours_trains_as_its_recipe_says(tmp_path: Path) -> None:
    wishes: dict[str, Any] = {"model": "vae", "data": "digits", "seed": 3, "changes": ["precision=float32"]}
    side = race.triptych(wishes, str(tmp_path), 0)
    before = [parameter.detach().clone() for parameter in side.players[0].parameters()]
    side.once()
    assert side.draw
    assert side.draw(3).shape == (3, 1, 8, 8)
    assert any(not torch.equal(old, new) for old, new in zip(before, side.players[0].parameters(), strict=True))
    assert (side.how, side.package) == ("float32", "triptych")


def test_the_images_of_a_folder_are_read_in_order(tmp_path: Path) -> None:
    from triptych.pixels import write_png

    for value in (2, 0, 1):
        write_png(torch.full((1, 3, 3), value, dtype=torch.uint8), tmp_path / f"{value}.png")
    assert race.read(str(tmp_path))[:, 0, 0, 0].tolist() == [0, 1, 2]
