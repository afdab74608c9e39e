"""upscale and colorize, from the command line to the pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import triptych
from triptych.cli import main
from triptych.insight import opened, restored, taught
from triptych.pixels import to_float

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight 8x8 pictures of flat colours."""
    folder = tmp_path_factory.mktemp("colours")
    for index, colour in enumerate(np.random.default_rng(0).integers(0, 256, (8, 3), dtype=np.uint8)):
        Image.fromarray(np.tile(colour, (8, 8, 1))).save(folder / f"{index}.png")
    return folder


def small(folder: Path) -> tuple[str, np.ndarray[Any, Any]]:
    """An image of 4x4 pixels as a file, and its pixels."""
    pixels = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16
    Image.fromarray(pixels).save(folder / "small.png")
    return str(folder / "small.png"), pixels


def tile(picture: Path, row: int, column: int) -> np.ndarray[Any, Any]:
    """The 8x8 image at a place of a grid, whose images are 48 px large with gaps of 2."""
    top, left = 2 + 50 * row, 2 + 50 * column
    with Image.open(picture) as image:
        return np.asarray(image)[top : top + 48 : 6, left : left + 48 : 6]


def test_small_images_become_large(train_tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = str(train_tiny("upscale", 20).run), tmp_path / "u.png"
    file, pixels = small(tmp_path)
    line = ["upscale", run, file, "-n", "2", "--steps", "4", "-o", str(out), "--quiet"]
    assert main([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["images"], told["variants"], told["factor"]) == (1, 2, 2)
    assert np.array_equal(tile(out, 0, 0), pixels.repeat(2, 0).repeat(2, 1))  # what was shown, to the bit
    first, second = tile(out, 0, 1), tile(out, 0, 2)
    assert not np.array_equal(first, second)
    assert main([*line, "--seed", "1"]) == 0
    assert np.abs(tile(out, 0, 1).astype(int) - second).max() <= 1  # a variant follows its seed
    means = first.reshape(4, 2, 4, 2).mean((1, 3))
    near = 10 * np.log10(255**2 / np.square(means - pixels).mean())
    model = triptych.load(run)
    way = taught(model, "upscale")
    alone = restored(model, way, opened(model, file, 2), steps=4)
    assert alone.faithful == pytest.approx(near, abs=0.2)  # but for the rounding of the means


def test_colours_are_not_looked_at(train_tiny: Make, colours: Path, tmp_path: Path) -> None:
    """Two colours of one luma, 299 * -15 + 587 * 9 + 114 * -7 = 0, are shown and made alike."""
    run, out = str(train_tiny("colorize", 5, data=str(colours)).run), tmp_path / "c.png"
    here = np.tile(np.array([100, 120, 140], np.uint8), (8, 8, 1))
    there = here + np.array([-15, 9, -7], np.int8).astype(np.uint8)
    pairs = []
    for pixels in (here, there):
        Image.fromarray(pixels).save(tmp_path / "one.png")
        line = ["colorize", run, str(tmp_path / "one.png"), "-n", "1", "--steps", "2", "-o", str(out)]
        assert main([*line, "--quiet"]) == 0
        pairs.append((tile(out, 0, 0), tile(out, 0, 1).astype(int)))
    (shown, made), (again, same) = pairs
    assert (shown == round(0.299 * 100 + 0.587 * 120 + 0.114 * 140)).all()
    assert np.array_equal(shown, again)
    assert np.abs(made - same).max() <= 1


def test_a_model_teaches_itself_what_is_shown(train_tiny: Make, tmp_path: Path) -> None:
    """After a few hundred steps what is made is nearer to what was shown than another image's is."""
    model = triptych.load(train_tiny("upscale", 300).run)
    way, real = taught(model, "upscale"), triptych.open_data("digits").validation.read(range(16)).images
    made = restored(model, way, real).images[:, 0]
    kept, left = way.of(to_float(made)), way.of(to_float(real))
    assert (kept - left).square().mean() < 0.5 * (kept - left.roll(1, 0)).square().mean()


@pytest.mark.parametrize("command", ["upscale", "colorize"])
def test_what_cannot_be(train_tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    (file, _), out = small(tmp_path), str(tmp_path / "x.png")
    plain, other = (
        train_tiny("dcgan", 1, "a").run,
        train_tiny("upscale" if command == "colorize" else "colorize", 1).run,
    )
    for run in (plain, other):
        assert main([command, run, file, "-o", out]) == 2
        assert f"train one that does ({command})" in capsys.readouterr().err
    own = train_tiny(command, 1, "b").run
    if command == "colorize":
        assert main([command, own, file, "-o", out]) == 2
        assert "without colours" in capsys.readouterr().err
        return
    (tmp_path / "no.png").write_bytes(b"nonsense")
    assert main([command, own, str(tmp_path / "no.png"), "-o", out]) == 3
    for flags in (["-n", "0"], ["--steps", "x"], ["--sampler", "no"], ["--labels", "1"], ["-o", "x.gif"]):
        assert main([command, own, file, "-o", out, *flags, "--quiet"]) == 2
    assert not (tmp_path / "x.png").exists()


def test_without_an_image_it_makes_any(train_tiny: Make) -> None:
    model = triptych.load(train_tiny("upscale", 5).run)
    (batch,) = triptych.generate(model, [0, 1], steps=2)
    (shown,) = triptych.generate(model, [0, 1], {"image": torch.ones(2, 1, 8, 8)}, steps=2)
    assert batch.images.shape == (2, 1, 8, 8)
    assert not torch.equal(batch.images, shown.images)
