"""Attribute vectors where the answer is exact: a model whose latents are its pixels."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import triptych
from pixel_latents import Linear, save
from triptych.attributes import applied, attribute, separation
from triptych.cli import main
from triptych.errors import DataError, UsageError
from triptych.pixels import to_float, to_uint8

Make = Callable[..., Any]
N = 90


def planted() -> tuple[np.ndarray, list[int]]:
    """Noise of low contrast about mid grey; class 1 is brighter by 40 at pixel 0, class 2 at pixel 15."""
    images = np.random.default_rng(0).integers(90, 111, (N, 4, 4), dtype=np.uint8)
    labels = [i % 3 for i in range(N)]
    images[1::3, 0, 0] += 40
    images[2::3, 3, 3] += 40
    return images, labels


def test_the_vector_is_the_difference_of_means() -> None:
    z = torch.tensor([[0.0, 1], [2, 1], [5, 5], [7, 9]])
    has, lacks = torch.tensor([True, True, False, False]), torch.tensor([False, False, False, True])
    assert attribute(z, has, lacks).tolist() == [-6, -8]
    assert attribute(z, has, ~has).tolist() == [-5, -6]


def test_separation_is_the_area_under_the_curve() -> None:
    """By hand: along v the ones lie at 1, 3 and the others at 0, 2: three of four pairs are in order."""
    z, v = torch.tensor([[1.0, 8], [3, 8], [0, 8], [2, 8]]), torch.tensor([2.0, 0])
    has = torch.tensor([True, True, False, False])
    assert separation(z, v, has, ~has) == 0.75
    assert separation(z, -v, has, ~has) == 0.25
    assert separation(z, 0 * v, has, ~has) == 0.5
    assert separation(z, v, has, torch.zeros(4, dtype=torch.bool)) is None


def test_a_row_is_a_straight_line_of_latents() -> None:
    model, z, v = Linear(), torch.linspace(-0.5, 0.5, 16), torch.zeros(16)
    v[3] = 0.25
    made = applied(model, z, v, [-1.0, 0.0, 1.0])
    assert torch.equal(made, to_uint8(torch.stack([z - v, z, z + v]).view(3, 1, 4, 4)))


@pytest.mark.parametrize("remove", [None, "2"])
def test_the_command_on_a_linear_model(remove: str | None, tmp_path: Path, quiet: Any) -> None:
    """The strip is the image plus strength times the difference of the training images' means, to one level."""
    pixels, labels = planted()
    where, out = save(tmp_path / "x.npz", pixels, labels), tmp_path / "a.png"
    image = np.full((4, 4), 120, np.uint8)
    Image.fromarray(image).save(tmp_path / "q.png")
    found = triptych.attribute(
        Linear(), where, [str(tmp_path / "q.png")],
        add="1", remove=remove, strength=1, steps=3, out=str(out), screen=quiet,
    )  # fmt: skip
    train = triptych.open_data(where, note=lambda sentence: None).train
    x, known = train.read(range(len(train))).images[:, 0].double(), train.labels
    assert known is not None
    lacks = known != 1 if remove is None else known == 2
    way = x[torch.from_numpy(known == 1)].mean(0) - x[torch.from_numpy(lacks)].mean(0)
    with Image.open(out) as picture:
        strip = np.asarray(picture).astype(float)
    tiles = np.stack([strip[14:50:12, 2 + 50 * i + 6 : 50 * i + 50 : 12] for i in range(3)])  # 12 px a pixel
    wanted = torch.from_numpy(image).double() + torch.tensor([-1.0, 0, 1])[:, None, None] * way
    assert np.abs(tiles - wanted.numpy()[:, 1:]).max() <= 1
    assert found.strengths == [-1, 0, 1]
    assert found.length == pytest.approx(float(way.norm()) / 127.5, rel=1e-4)
    assert found.separation == 1


def test_the_middle_is_the_reconstruction(train_tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = train_tiny("vae", 200).run, tmp_path / "a.png"
    one = triptych.open_data("digits").validation.read([0]).images
    Image.fromarray(one[0, 0].numpy()).save(tmp_path / "q.png")
    query = str(tmp_path / "q.png")
    words = ["attribute", run, "digits", query, query, "--add", "7", "--steps", "5", "-o", str(out)]
    assert main([*words, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["strengths"] == [-2, -1, 0, 1, 2]
    assert found["images"] == ["q.png", "q.png"]
    assert found["separation"] > 0.6
    with torch.no_grad():
        again = to_uint8(triptych.load(run).reconstruct(to_float(one)))[0, 0]
    with Image.open(out) as picture:
        assert picture.size == (2 + 5 * 50, 2 + 2 * 50)
        middle = np.asarray(picture)[5:50:6, 2 + 100 + 3 : 150 + 2 : 6]
    assert np.abs(middle[:8, :8].astype(int) - again.numpy().astype(int)).max() <= 1


def test_wrong_wishes(tmp_path: Path, quiet: Any) -> None:
    pixels, labels = planted()
    Image.fromarray(pixels[0]).save(tmp_path / "q.png")
    where, query, out = save(tmp_path / "x.npz", pixels, labels), [str(tmp_path / "q.png")], str(tmp_path / "a.png")

    def asked(data: str = where, add: str = "1", **how: Any) -> None:
        triptych.attribute(Linear(), data, query, add=add, out=how.pop("out", out), screen=quiet, **how)

    for sentence, how in (
        (r"--add: .* has no class '10'; did you mean '1'", {"add": "10"}),
        (r"--remove: .* has no class 'x'; known: 0, 1, 2", {"remove": "x"}),
        ("give two classes", {"remove": "1"}),
        ("give an odd number", {"steps": 4}),
        ("--strength", {"strength": math.nan}),
        (r"ends in \.png", {"out": "a.jpg"}),
    ):
        with pytest.raises(UsageError, match=sentence):
            asked(**how)
    with pytest.raises(DataError, match="has no classes"):
        asked(save(tmp_path / "y.npz", pixels))
    with pytest.raises(DataError, match=r"No training image of .* is of any other class"):
        asked(save(tmp_path / "z.npz", pixels, [1] * N))
    assert not Path(out).exists()
