"""The README's commands and its Python, for real: on a folder of photos, with shorter budgets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from test_docs import ROOT, blocks

pytestmark = pytest.mark.slow

README = ROOT / "README.md"
SHORTER = {  # what stands in the README, and what is run here
    "pip install . && ": "",  # tests/test_install.py installs
    "compare digits": "compare digits --for 2s --scored 300",
    "10min --seeds 3": "3s --size 16 --set dcgan:model.width=16 --set ddpm:model.net.width=16 --scored 100",
    "train flow photos/ ": "train flow photos/ --set model.net.width=16 --set model.steps=2 --set batch=8 ",
    "edit runs/f cat.jpg ": "edit runs/f cat.jpg --steps 2 ",
    "inpaint runs/f cat.jpg ": "inpaint runs/f cat.jpg --steps 3 --jumps 1 ",
    "10min": "5s",
    "evaluate runs/a ": "evaluate runs/a -n 100 ",
    "privacy runs/a ": "privacy runs/a -n 100 ",
    "-o found/ ": "-o found/ --steps 5 ",
    "200_000": "2_000",
}
Run = Callable[..., str]


def shortened(text: str) -> str:
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    return text


def photos(folder: Path) -> None:
    """Two classes of mixed sizes, one image with alpha, one broken file."""
    colours = np.random.default_rng(0).integers(0, 256, (24, 3), dtype=np.uint8)
    for number, colour in enumerate(colours):
        place = folder / ("cats" if number % 2 else "dogs")
        place.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (72 + 4 * number, 96), tuple(colour.tolist()))
        image.paste((255, 255, 255), (10, 10, 30 + number, 40))
        image.save(place / f"{number:02d}.jpg")
    Image.new("RGBA", (80, 80), (200, 40, 40, 128)).save(folder / "cats" / "glass.png")
    image.save(folder.parent / "cat.jpg")
    hole = Image.new("L", image.size)
    hole.paste(255, (40, 20, 80, 60))
    hole.save(folder.parent / "hole.png")
    (folder / "dogs" / "broken.jpg").write_bytes((folder / "dogs" / "00.jpg").read_bytes()[:600])


def theirs(folder: Path) -> None:
    """What another tool may have made, of the shape that the photos are brought to."""
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(1).integers(0, 256, (30, 64, 64, 4), dtype=np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run Python in an empty folder; what it says comes back."""

    def call(*words: str) -> str:
        settings = {**os.environ, "TRIPTYCH_DATA": str(tmp_path / "data")}
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout + done.stderr

    return call


def test_the_first_command(tmp_path: Path, run: Run) -> None:
    line = shortened(blocks(README)[0]).split()
    run("-m", *line)
    assert (tmp_path / "compare-digits" / "report.html").is_file()


def test_the_zoo(tmp_path: Path, run: Run) -> None:
    line = blocks(README)[1].split()
    run("-m", *line)
    assert (tmp_path / "grid.png").is_file()


def test_the_commands(tmp_path: Path, run: Run) -> None:
    photos(tmp_path / "photos")
    theirs(tmp_path / "theirs")
    said = [run("-m", *line.partition("#")[0].split()) for line in shortened(blocks(README)[2]).splitlines()]
    _, packed, planned, trained, resumed, *others = said
    assert "dogs/broken.jpg" in packed
    assert "images/s" in planned
    assert "64x64x4" in trained
    assert "Resuming runs/a" in resumed
    assert any("KD-bundled" in text for text in others)
    assert any("planted copies found" in text for text in others)
    written = ("photos.pack/pack.json", "runs/a/metrics.jsonl", "grid.png", "features.npz", "report/report.html",
               "runs/a/evaluation.html", "evaluation-theirs.html", "runs/a/privacy.html")  # fmt: skip
    assert all((tmp_path / name).is_file() for name in written)


def test_the_python(run: Run) -> None:
    [block] = blocks(README, "python")
    said = run("-c", shortened(block) + "\nprint(features.shape[0], tuple(batch.images.shape))\n")
    assert "1797 (64, 1, 8, 8)" in said
