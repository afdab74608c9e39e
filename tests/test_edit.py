"""edit, inpaint, diffuse and previews, from the command line to the pictures."""

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
from triptych.data import open_data
from triptych.insight import changed, side_by_side
from triptych.insight.editing import as_another, mask_for

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three digits as files."""
    folder = tmp_path_factory.mktemp("photos")
    images = open_data("digits").validation.read(range(3)).images
    for index, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(folder / f"{index}.png")
    return [str(folder / f"{index}.png") for index in range(3)]


@pytest.fixture
def run(train_tiny: Make) -> str:
    return str(train_tiny("flow", 30, changes=("model.conditional=true",)).run)


def pixels(picture: Path, row: int, column: int) -> np.ndarray[Any, Any]:
    """The 8x8 image at a place of a grid, whose images are 48 px large with gaps of 2."""
    top, left = 2 + 50 * row, 2 + 50 * column
    with Image.open(picture) as image:
        return np.asarray(image)[top : top + 48 : 6, left : left + 48 : 6]


def test_strength_goes_from_the_image_to_a_sample(run: str, photos: list[str], tmp_path: Path) -> None:
    out, grid = tmp_path / "e.png", tmp_path / "s.png"
    assert main(["edit", run, *photos, "--strength", "0", "-n", "2", "-o", str(out), "--quiet"]) == 0
    for row, photo in enumerate(photos):
        with Image.open(photo) as real:
            assert all(np.array_equal(pixels(out, row, column), np.asarray(real)) for column in range(3))
    arguments = ["--labels", "4", "--seed", "7", "--quiet"]
    assert main(["edit", run, photos[0], "--strength", "1", "-n", "2", "-o", str(out), *arguments]) == 0
    assert main(["sample", run, "-n", "2", "-o", str(grid), *arguments]) == 0
    assert all(np.array_equal(pixels(out, 0, 1 + k), pixels(grid, 0, k)) for k in range(2))


def test_known_pixels_stay_to_the_bit(run: str, photos: list[str], tmp_path: Path) -> None:
    mask, out = np.zeros((8, 8), np.uint8), tmp_path / "i.png"
    mask[2:5, 3:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    line = ["inpaint", run, *photos, "--mask", str(tmp_path / "mask.png"), "-n", "2", "--steps", "4", "--jumps", "2"]
    assert main([*line, "-o", str(out), "--quiet"]) == 0
    for row, photo in enumerate(photos):
        with Image.open(photo) as real:
            there = np.asarray(real)
        for column in (1, 2):
            made = pixels(out, row, column)
            assert np.array_equal(made[mask == 0], there[mask == 0])
            assert not np.array_equal(made[mask > 0], there[mask > 0])
    assert not np.array_equal(pixels(out, 0, 1), pixels(out, 0, 2))


@pytest.mark.parametrize(
    ("painted", "says"),
    [(np.zeros((8, 8)), "all black"), (np.full((8, 8), 255), "all white"), (np.eye(9) * 255, "9x9 pixels")],
    ids=["black", "white", "another size"],
)
def test_masks_that_make_no_sense(
    run: str, photos: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], painted: Any, says: str
) -> None:
    Image.fromarray(painted.astype(np.uint8)).save(tmp_path / "mask.png")
    out = str(tmp_path / "x.png")
    assert main(["inpaint", run, photos[0], "--mask", str(tmp_path / "mask.png"), "-o", out]) == 3
    assert says in capsys.readouterr().err
    (tmp_path / "no.png").write_bytes(b"nonsense")
    assert main(["inpaint", run, photos[0], "--mask", str(tmp_path / "no.png"), "-o", out]) == 3


def test_another_class_keeps_the_noise(run: str, photos: list[str], tmp_path: Path) -> None:
    out = tmp_path / "c.png"
    assert main(["edit", run, *photos, "--of", "9,4,7", "--labels", "1", "-o", str(out), "--quiet"]) == 0
    model = triptych.load(run)
    images = torch.stack([torch.from_numpy(np.array(Image.open(p)))[None] for p in photos])
    own = torch.tensor([9, 4, 7])
    same = changed(model, images, as_another(model, own), given={"labels": own})
    assert (same[:, 0].int() - images.int()).abs().float().mean() < 12  # there and back again
    assert side_by_side(images, same).shape[0] == 1


@pytest.mark.parametrize(
    "flags",
    [["--strength", "1.5"], ["--strength", "x"], ["-n", "0"], ["--labels", "11"], ["--of", "3"], ["--sampler", "no"],
     ["--of", "3", "--labels", "4", "--steps", "3"], ["-o", "x.gif"]],
)  # fmt: skip
def test_edits_that_there_are_not(run: str, photos: list[str], tmp_path: Path, flags: list[str]) -> None:
    assert main(["edit", run, photos[0], "-o", str(tmp_path / "x.png"), *flags, "--quiet"]) == 2
    assert not (tmp_path / "x.png").exists()


def test_models_that_change_no_images_say_which_do(
    train_tiny: Make, photos: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train_tiny("dcgan", 1).run
    out = str(tmp_path / "x.png")
    assert main(["edit", run, photos[0], "-o", out]) == 2
    assert "ddpm" in capsys.readouterr().err
    assert main(["inpaint", run, photos[0], "--mask", photos[1], "-o", out]) == 2
    assert main(["edit", run, photos[0], "--of", "3", "--labels", "4", "-o", out]) == 2
    assert main(["sample", run, "--trajectory", out, "-o", str(tmp_path / "g.png"), "--quiet"]) == 2
    assert not (tmp_path / "g.png").exists()


def test_latents_can_be_varied(train_tiny: Make, photos: list[str], tmp_path: Path) -> None:
    run, out = train_tiny("latent-flow", 30).run, tmp_path / "e.png"
    assert main(["edit", run, *photos, "--strength", "0.3", "-n", "2", "-o", str(out), "--quiet"]) == 0
    assert not np.array_equal(pixels(out, 0, 1), pixels(out, 0, 2))


@pytest.mark.parametrize("path", ["linear", "cosine", "straight", "exploding"])
def test_the_forward_process_begins_with_the_image(photos: list[str], tmp_path: Path, path: str) -> None:
    out = tmp_path / "f.png"
    how = ["--path", path, "--size", "8", "--channels", "1", "--steps", "4", "-o", str(out)]
    assert main(["diffuse", *photos, *how, "--quiet"]) == 0
    with Image.open(photos[1]) as real:
        there = np.asarray(real).astype(int)
    away = [np.abs(pixels(out, 1, column) - there).mean() for column in range(5)]
    assert away[0] == 0
    assert away[1] < away[4]
    assert main(["diffuse", *photos, "--path", "no", "-o", str(out), "--quiet"]) == 2


def test_previews_end_with_the_image(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid, way = tmp_path / "g.png", tmp_path / "t.png"
    line = ["sample", run, "-n", "3", "--steps", "5", "--sampler", "ddim", "--trajectory", str(way), "-o", str(grid)]
    assert main([*line, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["how"]["steps"] == 5
    with Image.open(way) as picture:
        columns = (picture.width - 2) // 50
    assert columns == 6  # five estimates and the image
    assert np.array_equal(pixels(way, 1, columns - 1), pixels(grid, 0, 1))


def test_a_mask_is_fitted_as_images_are(run: str, photos: list[str], tmp_path: Path) -> None:
    """A mask of the image's own sides, both brought to the model's."""
    Image.fromarray(np.zeros((16, 24), np.uint8)).save(tmp_path / "photo.png")
    white = np.zeros((16, 24), np.uint8)
    white[:8] = 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    found = mask_for(str(tmp_path / "mask.png"), [str(tmp_path / "photo.png")], triptych.load(run))
    assert found.shape == (8, 8)
    assert found[:4].all()
    assert not found[4:].any()
