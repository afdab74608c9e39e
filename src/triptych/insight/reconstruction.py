"""Images encoded and decoded again, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.core import NOTHING, Encodes, Given, Model, Source
from triptych.errors import UsageError
from triptych.insight.asking import Progress, able, over
from triptych.pixels import HALF, grid, has_alpha, to_uint8


class Again(NamedTuple):
    """A batch of images with what the model makes of them."""

    images: Tensor  # (B, C, H, W) uint8
    again: Tensor  # (B, C, H, W) uint8: encoded and decoded
    error: Tensor  # (B, C, H, W) float32 in levels, premultiplied: decoded minus original, not rounded


def encoder(model: Model) -> Encodes:
    """The model itself, or a `UsageError` that names those which encode."""
    if isinstance(model, Encodes):
        return model
    raise UsageError(f"This model does not encode images; {able('encode')}.")


def reconstructed(
    model: Model, source: Source, seed: int | None = None, batch: int = 64,
    progress: Progress = lambda done: None, rows: Sequence[int] | None = None,
) -> Iterator[Again]:  # fmt: skip
    """Batches of images encoded and decoded again, of these rows of a source or of all.

    From the mean of the posterior; or, where there is a `seed`, from a draw, image i's with seed + i.
    """
    encode = encoder(model).encode

    def again(x: Tensor, given: Given, part: Sequence[int]) -> Again:
        draw = None if seed is None else Draw([seed + row for row in part], x.device)
        y = model.decode(encode(x, given, draw), given)
        return Again(to_uint8(x).cpu(), to_uint8(y).cpu(), (HALF * (y - x)).float().cpu())

    return over(model, source, again, batch, progress, rows)


def threefold(images: Tensor, again: Tensor) -> Tensor:
    """A picture (C, H', W') with a row for each uint8 image (B, C, H, W): itself, as it came back, the difference."""
    difference = (images.int() - again.int()).abs().to(torch.uint8)
    if has_alpha(images.shape[1]):
        difference[:, -1] = 255
    return grid(torch.stack([images, again, difference], 1).flatten(0, 1), 3)


def latents(model: Model, source: Source, given: Given = NOTHING, batch: int = 64) -> Tensor:
    """The means of all images of a source, (N, *latent_shape), on the model's device; `given` may hold labels (N,).

    Raises a `UsageError` for a model that does not encode, and for one that takes labels and gets none.
    """
    encode = encoder(model).encode
    if model.classes and not given:
        raise UsageError("This model is told the class of each image: say it with --labels.")
    return torch.cat(list(over(model, source, lambda x, known, part: encode(x, known), batch, told=given)))
