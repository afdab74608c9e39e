"""Real images as styles: what a model painted is found again."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import triptych
from triptych import inversion
from triptych.cli import main
from triptych.errors import DataError, UsageError
from triptych.extractors import bundled, extractor
from triptych.gan.model import Generator
from triptych.pixels import to_float
from triptych.sampling import generate

Make = Callable[..., Any]
CPU = torch.device("cpu")


def painter(channels: int = 3, classes: int = 0) -> Generator:
    """A generator of two layers."""
    torch.manual_seed(0)
    shape = (channels, 10, 8)
    layers = [nn.Linear(4 + classes, 32), nn.LeakyReLU(0.2), nn.Linear(32, math.prod(shape)), nn.Tanh()]
    return Generator(nn.Sequential(*layers, nn.Unflatten(1, shape)), shape, 4, classes)


@pytest.mark.parametrize("sight", ["pixels", "bundled"])
@pytest.mark.parametrize("classes", [0, 2])
def test_painted_images_are_found_again(sight: str, classes: int) -> None:
    model = painter(classes=classes)
    (made,) = generate(model, range(4))
    steps = 300 if sight == "pixels" else 120
    found = inversion.invert(model, made.images, inversion.sight(sight, CPU), steps)
    assert found.psnr.min() > 35
    assert found.styles.shape == (4, 4 + classes)
    assert found.steps == steps
    assert all(p.grad is None for p in model.parameters())


def test_an_image_is_found_alone_as_beside_others() -> None:
    model = painter()
    (made,) = generate(model, range(3))
    together = inversion.invert(model, made.images, steps=40)
    alone = inversion.invert(model, made.images[1:2], steps=40)
    torch.testing.assert_close(together.styles[1:2], alone.styles, atol=1e-4, rtol=0)


def test_the_search_starts_at_the_centre_and_only_gets_better() -> None:
    model = painter(classes=2)
    (made,) = generate(model, range(3))
    centre = model.centre({"labels": torch.arange(2)}).mean(0)
    once = inversion.invert(model, made.images, steps=1)
    torch.testing.assert_close(once.styles, centre.detach().expand(3, -1))
    later = inversion.invert(model, made.images, steps=20)
    assert (later.psnr > once.psnr).all()


def test_time_ends_the_search() -> None:
    shares: list[float] = []
    made = next(generate(painter(), [0])).images
    found = inversion.invert(painter(), made, steps=10**6, seconds=0.2, note=shares.append)
    assert 0 < found.steps < 10**6
    assert shares[-1] == 1
    assert shares == sorted(shares)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_differentiable_view_is_the_extractors_own(channels: int) -> None:
    """Over places and over an image and its mirror image, the mean of `watching` are the features of `look`."""
    images = torch.randint(0, 256, (2, channels, 20, 40), dtype=torch.uint8)
    x = to_float(images).requires_grad_()
    rows = bundled.watching(CPU)(x)
    grounds = 2 if channels in (2, 4) else 1
    both = torch.stack([rows, bundled.watching(CPU)(x.flip(3))]).unflatten(2, (grounds, bundled.FEATURES, -1))
    features = both.mean((0, 2, 4))
    torch.testing.assert_close(features, extractor("bundled").look(images).features, atol=1e-4, rtol=1e-4)
    (slope,) = torch.autograd.grad(rows.square().sum(), x)
    assert slope.isfinite().all()
    assert slope.abs().sum() > 0


def test_what_does_not_fit_is_a_sentence(train_tiny: Make) -> None:
    with pytest.raises(UsageError, match="this model makes"):
        inversion.invert(painter(), torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(UsageError, match="known: bundled, pixels"):
        inversion.sight("inception", CPU)
    other = triptych.load(train_tiny("vae", 1).run)
    with pytest.raises(UsageError, match="triptych encode"):
        inversion.invert(other, torch.zeros(1, 1, 8, 8, dtype=torch.uint8))


def test_the_command_takes_a_folder_or_one_image(
    train_tiny: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data"))
    run = train_tiny("dcgan", 2).run
    (tmp_path / "photos").mkdir()
    for index in range(3):
        level = np.full((20, 16, 3), 60 * index + 40, np.uint8)
        level[:10] //= 2
        Image.fromarray(level).save(tmp_path / "photos" / f"{index}.png")
    out = tmp_path / "inverted"
    folder = triptych.invert(run, str(tmp_path / "photos"), out=str(out), steps=5, batch=2)
    assert folder.steps == 5
    with np.load(out / "inverted.npz") as arrays:
        assert arrays["styles"].shape == (3, 8)
        assert [Path(name).name for name in arrays["names"]] == ["0.png", "1.png", "2.png"]
        assert np.array_equal(arrays["psnr"], folder.psnr)
        first = arrays["styles"][:1]
    with Image.open(out / "inverted.png") as picture:
        assert picture.size == (2 + 3 * 50, 2 + 3 * 50)
    one = triptych.invert(run, str(tmp_path / "photos" / "0.png"), out=str(tmp_path / "one"), steps=5)
    assert one.names.tolist() == ["0.png"]
    np.testing.assert_allclose(one.styles, first, atol=3e-2)


def test_wrong_wishes_of_the_command(train_tiny: Make, tmp_path: Path) -> None:
    run = train_tiny("dcgan", 1).run
    for wrong in (["--steps", "0"], ["--extractor", "x"], ["--seconds", "-1"], ["--batch", "0"]):
        assert main(["invert", run, "digits", *wrong, "-o", str(tmp_path / "o"), "--quiet"]) == 2
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"x\.png is not used"):
        triptych.invert(run, str(tmp_path / "x.png"), out=str(tmp_path / "o"))
    assert not (tmp_path / "o").exists()
