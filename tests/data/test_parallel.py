"""Packing by several processes gives the bytes that one gives."""

from __future__ import annotations

import filecmp
from pathlib import Path

import pytest
from image_files import encoded, noise

from triptych.commands.pack import _paced
from triptych.data import packing
from triptych.data.opening import pack


def test_several_processes_write_the_bytes_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With images of several sizes and depths and files that are refused, in more groups than processes."""
    root = tmp_path / "photos"
    for number in range(200):
        (root / str(number % 3)).mkdir(parents=True, exist_ok=True)
        channels = (3, 4)[number % 2]
        data = b"no image" if number % 17 == 0 else encoded(noise(9 + number % 4, 11, channels, seed=number))
        (root / str(number % 3) / f"{number:03d}.png").write_bytes(data)
    packs = []
    for count in (1, 3):
        monkeypatch.setattr(packing, "_worth", lambda files, count=count: count)
        pack(root, tmp_path / f"{count}.pack", size=8)
        packs.append(tmp_path / f"{count}.pack")
    names = sorted(path.name for path in packs[0].iterdir())
    assert filecmp.cmpfiles(*packs, names, shallow=False) == (names, [], [])
    assert names == sorted(path.name for path in packs[1].iterdir())


def test_as_many_processes_as_cores_and_no_more_than_pay() -> None:
    assert packing._worth(1) == 1
    assert packing._worth(10**6) == min(16, packing.cores())


def test_progress_says_the_pace_of_this_start() -> None:
    said: list[tuple[float, str]] = []
    progress = _paced(lambda done, text="": said.append((done, text)))
    for done in (500, 600, 1000):  # 500 were there before
        progress(done, 1000)
    assert said[-1][0] == 1
    assert said[0][1] == "500 of 1,000 files, 0/s"
    assert said[-1][1].startswith("1,000 of 1,000 files, ")
