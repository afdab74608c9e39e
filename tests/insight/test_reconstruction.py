"""Reconstructions of a model whose images lie in a plane that is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from blobs import blobs, source
from linear import Linear
from triptych.errors import UsageError
from triptych.gan.model import Generator
from triptych.insight import reconstructed, threefold
from triptych.insight.reconstruction import latents
from triptych.pixels import HALF, to_float

IMAGES = blobs(9, side=4)
MODEL = Linear(torch.ones(5), noise=0.01)


def all_of(seed: int | None, batch: int) -> Tensor:
    return torch.cat([part.error for part in reconstructed(MODEL, source(IMAGES), seed, batch)])


def test_the_mean_is_the_projection() -> None:
    """With little noise, encoding and decoding projects onto the span of u."""
    flat = to_float(IMAGES).flatten(1)
    wanted = (flat @ MODEL.u @ MODEL.u.T - flat).view(-1, 1, 4, 4) * HALF
    torch.testing.assert_close(all_of(None, 4), wanted, atol=0.1, rtol=1e-3)
    (part,) = reconstructed(MODEL, source(IMAGES))
    assert torch.equal(part.images, IMAGES)


def test_a_draw_follows_its_seed() -> None:
    torch.testing.assert_close(all_of(3, 9), all_of(3, 2), atol=1e-3, rtol=0)
    assert not torch.allclose(all_of(3, 9), all_of(4, 9))
    (part,) = reconstructed(MODEL, source(IMAGES), 3, rows=[5, 1])
    torch.testing.assert_close(part.error, all_of(3, 9)[[5, 1]], atol=1e-3, rtol=0)


def test_the_picture_has_original_reconstruction_and_difference() -> None:
    images, again = torch.full((2, 1, 8, 8), 200, dtype=torch.uint8), torch.full((2, 1, 8, 8), 50, dtype=torch.uint8)
    picture = threefold(images, again)
    middles = [int(picture[0, 27, 27 + 50 * column]) for column in range(3)]
    assert middles == [200, 50, 150]
    clear = threefold(torch.zeros(1, 2, 8, 8, dtype=torch.uint8), torch.zeros(1, 2, 8, 8, dtype=torch.uint8))
    assert int(clear[1, 27, 127]) == 255  # a difference is opaque


def test_who_cannot() -> None:
    net = nn.Sequential(nn.Linear(5, 16), nn.Unflatten(1, (1, 4, 4)))
    with pytest.raises(UsageError, match="does not encode images; train one that does"):
        next(reconstructed(Generator(net, (1, 4, 4), 2, 3), source(IMAGES)))


class Told(Linear):
    """A model that is told the class, and adds it to its latents."""

    classes = 3
    recipe = {"data": {"class_names": ["ape", "bee", "cat"]}}  # noqa: RUF012

    def encode(self, x: Tensor, given: dict[str, Tensor], draw: object = None) -> Tensor:  # type: ignore[override]
        return super().encode(x) * 0 + given["labels"][:, None]


def test_classes_are_told_by_name() -> None:
    from triptych.data.arrays import ArraySource

    model, labels = Told(torch.ones(5)), torch.tensor([0, 1, 1]).numpy()
    with pytest.raises(UsageError, match="a folder for each class"):
        next(reconstructed(model, source(IMAGES)))
    with pytest.raises(UsageError, match="none named 'dog'"):
        next(reconstructed(model, ArraySource(IMAGES[:3].numpy(), labels, ("cat", "dog"))))
    known = ArraySource(IMAGES[:3].numpy(), labels, ("cat", "ape"))
    (part,) = reconstructed(model, known)
    wanted = model.decode(torch.tensor([2.0, 0, 0])[:, None].expand(3, 5))
    torch.testing.assert_close(part.error / HALF + to_float(IMAGES[:3]), wanted, atol=1e-4, rtol=0)
    with pytest.raises(UsageError, match="--labels"):
        latents(model, known)
    assert latents(model, known, {"labels": torch.tensor([1, 1, 2])}).tolist() == [[1.0] * 5, [1.0] * 5, [2.0] * 5]
