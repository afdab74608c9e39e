"""No test of data touches the network or the home folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_files import encoded, noise

from triptych.data import fetch


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(url: str, start: int) -> Any:
        raise OSError("the network is closed")

    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data-folder"))
    monkeypatch.setattr(fetch, "request", closed)


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """A folder of so many PNGs of noise in each named class ("" is the root)."""

    def make(classes: dict[str, int], shape: tuple[int, ...] = (8, 8, 3), name: str = "photos") -> Path:
        root = tmp_path / name
        for number, (label, count) in enumerate(classes.items()):
            (root / label).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                (root / label / f"{index:04d}.png").write_bytes(encoded(noise(*shape, seed=1000 * number + index)))
        return root

    return make


@pytest.fixture
def heard() -> list[str]:
    """What was noted: give `heard.append` as the note."""
    return []
