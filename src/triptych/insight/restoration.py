"""Images made of what is left of them, by a model that was taught to.

Notation: N images, K variants of each, B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from triptych.chance import Draw
from triptych.core import NOTHING, Degradation, Given, Model, Restores
from triptych.data.photographs import open_images
from triptych.errors import UsageError
from triptych.insight.asking import Progress, able
from triptych.insight.editing import changed
from triptych.metrics.images import psnr
from triptych.pixels import to_float, to_uint8
from triptych.sampling import accepts


class Restored(NamedTuple):
    """Images, and what they were made of."""

    left: Tensor  # (N, C, H, W) uint8: what the model was shown
    images: Tensor  # (N, K, C, H, W) uint8
    faithful: float  # dB, in the median: PSNR of what is left of them against what was shown


def taught(model: Model, ability: str) -> Degradation:
    """What a model with this ability is shown of images; a `UsageError` that says which can, where it has it not."""
    degradation = model.degradation if isinstance(model, Restores) else None
    if degradation is None or degradation.undone != ability:
        raise UsageError(f"This model does not {ability} images; {able(ability)}.")
    return degradation


def opened(model: Model, files: str | Sequence[str], factor: int) -> Tensor:
    """Image files brought to sides `factor` times under the model's, each pixel in all its places: uint8 (N, C, H, W).

    Raises a `DataError` for a file that is no image.
    """
    names, (channels, height, width) = [files] if isinstance(files, str) else files, model.image_shape
    small, fit = (channels, -(-height // factor), -(-width // factor)), str(model.recipe["data"].get("fit", "crop"))
    images = open_images(names, small, fit).read(range(len(names))).images
    return images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)[:, :, :height, :width]


def restored(
    model: Model, degradation: Degradation, images: Tensor, variants: int = 1, seed: int = 0, given: Given = NOTHING,
    batch: int = 64, progress: Progress = lambda done: None, **how: Any,
) -> Restored:  # fmt: skip
    """`variants` images made of what is left of each of uint8 images (N, C, H, W).

    Variant k of image i has the seed `seed` + i K + k; `how` goes to the model's `sample`. Raises a `UsageError` for
    words that it does not know.
    """
    accepts(model, how)

    def left(real: Tensor) -> Tensor:
        return to_uint8(degradation.of(to_float(real)))

    def change(x: Tensor, told: Given, draw: Draw, rows: Tensor) -> Tensor:
        return model.sample(draw, {**told, "image": degradation.of(x)}, **how)

    made = changed(model, images, change, variants, seed, given, batch, progress)  # (N, K, C, H, W)
    shown = left(images)
    near = psnr(left(made.flatten(0, 1)), shown.repeat_interleave(variants, 0))  # (N K,)
    return Restored(shown, made, float(near.median()))
