"""The border between files and networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.pixels import grid, to_float, to_uint8, write_png


def every_value(channels: int) -> torch.Tensor:
    """Images that hold each pair of colour and alpha."""
    colour, alpha = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    planes = [alpha if channels in (2, 4) and c == channels - 1 else (colour + 85 * c) % 256 for c in range(channels)]
    return torch.stack(planes)[None].to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_there_and_back_is_exact(channels: int) -> None:
    images = every_value(channels)
    x = to_float(images)
    assert x.min() == -1
    assert x.max() == 1
    if channels in (2, 4):
        images[:, :-1] *= images[:, -1:] > 0  # colour under alpha zero is gone
        assert (x[:, :-1] <= x[:, -1:] + 1e-6).all()  # premultiplied: no colour above its alpha
    assert torch.equal(to_uint8(x), images)


def test_the_scale_is_that_of_the_papers() -> None:
    images = torch.tensor([0, 127, 128, 255], dtype=torch.uint8).view(4, 1, 1, 1)
    expected = torch.tensor([0, 127, 128, 255]).view(4, 1, 1, 1) / 127.5 - 1
    torch.testing.assert_close(to_float(images), expected)


def test_values_outside_are_clamped_and_halves_rounded() -> None:
    x = torch.tensor([-3.0, 3.0, 1 / 127.5 * 0.49 - 1, 1 / 127.5 * 0.51 - 1]).view(4, 1, 1, 1)
    assert to_uint8(x).flatten().tolist() == [0, 255, 0, 1]


@pytest.mark.parametrize(
    ("count", "columns", "shape"), [(1, None, (1, 52, 52)), (5, 3, (1, 102, 152)), (64, 8, (1, 402, 402))]
)
def test_grid(count: int, columns: int | None, shape: tuple[int, ...]) -> None:
    images = torch.arange(count, dtype=torch.uint8).view(count, 1, 1, 1).expand(count, 1, 8, 8)
    picture = grid(images, columns)
    assert picture.shape == shape
    per_row = columns or 1
    last = picture[0, 2 + (count - 1) // per_row * 50, 2 + (count - 1) % per_row * 50]
    assert last == count - 1


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_png_holds_the_very_pixels(tmp_path: Path, channels: int, mode: str) -> None:
    image = torch.randint(0, 256, (channels, 13, 37), dtype=torch.uint8)
    path = write_png(image, tmp_path / "new" / "x.png")
    with Image.open(path) as picture:
        assert picture.mode == mode
        assert not picture.info
        assert np.array_equal(np.asarray(picture).reshape(13, 37, channels), image.permute(1, 2, 0).numpy())
    assert [entry.name for entry in path.parent.iterdir()] == ["x.png"]
