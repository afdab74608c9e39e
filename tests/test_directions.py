"""Directions of styles: singular vectors of the first layer, in units of the styles' own spread."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import triptych
from triptych.cli import main
from triptych.core import Styles
from triptych.errors import UsageError
from triptych.gan.model import Generator
from triptych.sampling import generate
from triptych.walking import along, spread

Make = Callable[..., Any]
SHAPE = (1, 8, 8)


def linear(values: torch.Tensor, classes: int = 0, mapping: nn.Module | None = None, latent: int = 5) -> Generator:
    """x = A w, as an image."""
    layer = nn.Linear(values.shape[1], math.prod(SHAPE), bias=False, dtype=values.dtype)
    layer.weight = nn.Parameter(values)
    return Generator(nn.Sequential(layer, nn.Unflatten(1, SHAPE)), SHAPE, latent, classes, mapping)


def known(columns: int = 5) -> torch.Tensor:
    return torch.randn(64, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


def test_they_are_the_right_singular_vectors() -> None:
    a = known()
    _, singular, right = torch.linalg.svd(a, full_matrices=False)
    vectors, values = linear(a).directions(5)
    torch.testing.assert_close(values, singular.square(), atol=1e-11, rtol=0)
    torch.testing.assert_close((vectors * right).sum(1).abs(), torch.ones(5).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(vectors @ vectors.mT, torch.eye(5).double(), atol=1e-12, rtol=0)
    assert torch.equal(linear(a).directions(2)[0], vectors[:2])


def test_the_class_beside_the_latent_stands_still() -> None:
    a = known(8)
    vectors, _ = linear(a, classes=3).directions(5)
    _, _, right = torch.linalg.svd(a[:, :5], full_matrices=False)
    assert vectors.shape == (5, 8)
    assert (vectors[:, 5:] == 0).all()
    torch.testing.assert_close((vectors[:, :5] * right).sum(1).abs(), torch.ones(5).double(), atol=1e-12, rtol=0)


def test_the_networks_own_word_comes_first() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Linear(5, 3)

        def first(self) -> torch.Tensor:
            return torch.diag(torch.tensor([1.0, 5.0, 2.0, 0.0, 0.0]))

    model = Generator(Net(), SHAPE, 5)
    vectors, values = model.directions(3)
    torch.testing.assert_close(vectors, torch.eye(5)[[1, 2, 0]])
    torch.testing.assert_close(values, torch.tensor([25.0, 4.0, 1.0]).double())


@pytest.mark.parametrize("count", [0, 6])
def test_more_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match="give 1 to 5"):
        linear(known()).directions(count)


class Stretched(nn.Module):
    """A mapping that stretches each value by its own factor."""

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        return z * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])


def test_the_unit_is_the_spread_of_the_styles() -> None:
    model = linear(known().float() / 100, mapping=Stretched())
    assert isinstance(model, Styles)
    found = spread(model, torch.eye(5))
    torch.testing.assert_close(found, torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), atol=0, rtol=0.1)


def test_a_row_goes_through_the_seed_in_even_steps() -> None:
    model = linear(known().float() / 100)
    vectors, _ = model.directions(2)
    rows = list(along(model, vectors, [3, 8], reach=2.0, steps=5))
    (own,) = generate(model, [3, 8])
    assert len(rows) == 4
    for row, image in zip(rows, [*own.images, *own.images], strict=True):
        assert row.shape == (5, *SHAPE)
        assert (row[2].int() - image.int()).abs().max() <= 1
        steps = row.double().diff(dim=0)
        assert (steps - steps.mean(0)).abs().max() <= 1.01  # a linear painter answers evenly
    assert not torch.equal(rows[0], rows[2])


@pytest.mark.parametrize("name", ["mlp-gan", "dcgan"])
def test_the_command_writes_a_strip(name: str, train_tiny: Make, tmp_path: Path) -> None:
    run, out = train_tiny(name, 2).run, tmp_path / "d.png"
    done = triptych.directions(run, count=3, reach=2, seeds="4,5", steps=5, out=str(out))
    assert done.seeds == [4, 5]
    assert done.strengths == sorted(done.strengths, reverse=True)
    with Image.open(out) as picture:
        assert picture.size == (2 + 5 * 50, 2 + 6 * 50)


def test_wrong_wishes_are_sentences(train_tiny: Make, tmp_path: Path) -> None:
    run, other = train_tiny("dcgan", 1).run, train_tiny("vae", 1, "other").run
    out = ["-o", str(tmp_path / "d.png"), "--quiet"]
    for wrong in (["--count", "9"], ["--count", "0"], ["--seeds", "x"], ["--reach", "-1"], ["--labels", "1"]):
        assert main(["directions", run, *out, *wrong]) == 2
    assert main(["directions", run, "-o", str(tmp_path / "d.gif"), "--quiet"]) == 2
    with pytest.raises(UsageError, match="has no styles; it encodes images by itself"):
        triptych.directions(other, out=str(tmp_path / "d.png"))
