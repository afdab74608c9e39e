"""Images as a model changes them: varied, filled in, or made anew as another class.

Notation: N images, K variants of each, B batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.core import NOTHING, Encodes, Given, Model
from triptych.data.photographs import open_images, sides
from triptych.errors import DataError, UsageError
from triptych.insight.asking import Progress, able
from triptych.pixels import grid, to_float, to_uint8
from triptych.sampling import at_rest, check_labels

Change = Callable[[Tensor, Given, Draw, Tensor], Tensor]  # x (B, C, H, W), what is told, chance, rows (B,) -> images


def changed(
    model: Model, images: Tensor, change: Change, variants: int = 1, seed: int = 0, given: Given = NOTHING,
    batch: int = 64, progress: Progress = lambda done: None,
) -> Tensor:  # fmt: skip
    """uint8 images (N, C, H, W) each changed `variants` times, (N, K, C, H, W).

    Variant k of image i has the seed `seed` + i K + k. `given` may hold labels (N,) of what they are to be.
    """
    check_labels(given, len(images), model.classes)
    rows, made = torch.arange(len(images)).repeat_interleave(variants), []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        with at_rest(model) as device, torch.no_grad():
            draw = Draw(range(seed + start, seed + start + len(part)), device)
            told = {name: value[part].to(device) for name, value in given.items()}
            made.append(to_uint8(change(to_float(images[part]).to(device), told, draw, part)).cpu())
        progress(min(start + batch, len(rows)))
    return torch.cat(made).reshape(len(images), variants, *images.shape[1:])


def as_another(model: Model, own: Tensor) -> Change:
    """The image as another class: encoded as of its own class, of labels `own` (N,), and decoded as of the one told.

    Raises a `UsageError` for a model that does not encode, or is told no classes.
    """
    if not isinstance(model, Encodes) or not model.classes:
        raise UsageError(f"This model does not encode images of a class; {able('conditional')} that encodes too.")
    check_labels({"labels": own}, len(own), model.classes)
    return lambda x, given, draw, rows: model.decode(model.encode(x, {"labels": own[rows].to(x.device)}), given)


def mask_for(path: str, images: Sequence[str], model: Model) -> Tensor:
    """What is white in a mask, (H, W) bool, brought to the model's size as the images are.

    Raises a `DataError` for a mask that has neither the images' sides nor the model's, and for one of a single colour.
    """
    found = {image: sides(image) for image in images}
    mine, (height, width) = sides(path), model.image_shape[1:]
    wrong = [name for name, there in found.items() if there != mine]
    if wrong and mine != (height, width):
        high, wide = found[wrong[0]]
        raise DataError(
            f"The mask {path} has {mine[0]}x{mine[1]} pixels and {wrong[0]} {high}x{wide}: give a mask of the image's "
            f"size, or of the model's, {height}x{width}."
        )
    fit = str(model.recipe["data"].get("fit", "crop"))
    white = torch.from_numpy(open_images([path], (1, height, width), fit).read([0]).images.numpy())[0, 0] >= 128
    if bool(white.all()) or not bool(white.any()):
        what = "white: nothing would be left of the image" if bool(white.all()) else "black: nothing is to be made"
        raise DataError(f"The mask {path} is all {what}; paint white what is to be new, and black what is to stay.")
    return white


def side_by_side(images: Tensor, changed: Tensor) -> Tensor:
    """A picture (C, H', W') with a row for each uint8 image (N, C, H, W): itself, then its variants (N, K, C, H, W)."""
    rows = torch.cat([images[:, None], changed], 1)
    return grid(rows.flatten(0, 1), rows.shape[1])
