"""`triptych privacy` as people call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.cli import main
from triptych.data import open_data
from triptych.errors import DataError, UsageError
from triptych.screen import Screen


@pytest.fixture
def run(tmp_path: Path, train_tiny: Any) -> Path:
    train_tiny("mlp-gan", 3)
    return tmp_path / "run"


def test_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["privacy", str(run), "-n", "60", "--extractor", "pixels", "--json", "--quiet"])
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said["found"]["copies"]["of"] == 60
    assert said["found"]["controls"]["planted_found"] == 100
    assert said["found"]["membership"]["members"] == 1000
    assert said["found"]["passes"] == pytest.approx(48 / 1603)
    assert (run / "privacy.html").is_file()
    assert json.loads((run / "privacy.json").read_text(encoding="utf-8"))["copies"] == said["found"]["copies"]


def test_images_from_elsewhere_that_are_copies(tmp_path: Path, quiet: Screen) -> None:
    from triptych.commands.privacy import privacy

    digits = open_data("digits", note=lambda text: None).train.read(range(50)).images
    np.savez(tmp_path / "made.npz", images=digits.permute(0, 2, 3, 1).numpy())
    found = privacy(str(tmp_path / "made.npz"), data="digits", extractor="pixels",
                    out=str(tmp_path / "page.html"), screen=quiet)  # fmt: skip
    assert found.found["copies"]["flagged"] == 50
    assert "50 of 50 images are flagged" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_what_cannot_be_done(tmp_path: Path, quiet: Screen, run: Path) -> None:
    from triptych.commands.privacy import privacy

    np.savez(tmp_path / "made.npz", images=np.arange(9 * 16 * 16 * 3).reshape(9, 16, 16, 3).astype(np.uint8))
    with pytest.raises(UsageError, match="--data is missing"):
        privacy(str(tmp_path / "made.npz"), screen=quiet)
    with pytest.raises(DataError, match="16x16x3 and the training images 8x8x1"):
        privacy(str(tmp_path / "made.npz"), data="digits", screen=quiet)
    with pytest.raises(UsageError, match=r"ends in \.html"):
        privacy(str(run), out="page.pdf", screen=quiet)
    with pytest.raises(DataError, match="does not exist"):
        privacy(str(tmp_path / "nothing.npz"), data="digits", screen=quiet)
