"""Images as a model takes them: its own held-out ones or the user's, at its size, in its numbers of classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from triptych import recipe
from triptych.core import NOTHING, Given, Model, Source
from triptych.data import Splits, open_data
from triptych.data.arrays import ArraySource
from triptych.data.photographs import is_photograph, open_images
from triptych.errors import DataError, UsageError
from triptych.pixels import to_float
from triptych.sampling import at_rest
from triptych.words import join

T = TypeVar("T")
Note = Callable[[str], None]
Work = Callable[[Tensor, Given, Sequence[int]], T]  # x (B, C, H, W), what is known, rows -> anything
Progress = Callable[[int], None]  # images done so far


def able(ability: str) -> str:
    """The models of the catalogue that can do this, as the end of a sentence."""
    return f"train one that does ({join([name for name in recipe.names() if ability in recipe.about(name).can], 'or')})"


def asked(model: Model, where: str | Sequence[str], note: Note) -> ArraySource:
    """All images of a data set, or some image files, with the size and channels of the model.

    Raises a `DataError` for what holds no images and for a file that is none.
    """
    places = [where] if isinstance(where, str) else list(where)
    if not places:
        raise UsageError("There are no images: give a data set, a folder, or image files.")
    if len(places) > 1 or is_photograph(places[0]):
        return open_images(places, model.image_shape, _fit(model))
    return _opened(model, places[0], note).everything


def own(model: Model, note: Note) -> Splits:
    """The images of the model's run; what is noted where they are no longer those that it was trained on."""
    facts = model.recipe["data"]
    try:
        splits = _opened(model, facts["where"], note)
    except (DataError, UsageError) as error:
        raise DataError(f"The images of this run are not at hand: {error} Name others.") from error
    if splits.train.fingerprint != facts["fingerprint"]:
        note(f"{facts['where']} no longer holds the images that this model was trained on.")
    return splits


def over(
    model: Model, source: Source, work: Work[T], batch: int = 64, progress: Progress = lambda done: None,
    rows: Sequence[int] | None = None, told: Given = NOTHING,
) -> Iterator[T]:  # fmt: skip
    """What `work` makes of each batch of a source, without gradients; of these rows of it, or of all.

    A model that takes labels is told those of `told` (N,), else the image's own class, by its name, and one that
    takes texts the image's own, where it has one. Raises a
    `UsageError` where such a model is given images of no class, or of one that it does not know.
    """
    chosen = range(len(source)) if rows is None else rows
    labels = _labels(model, source) if model.classes and not told else None
    for start in range(0, len(chosen), batch):
        part = list(chosen[start : start + batch])
        images, given = source.read(part)
        known = {name: value[part] for name, value in told.items()}
        known |= {} if labels is None else {"labels": labels[given["labels"]]}
        known |= {"text": given["text"]} if "text" in model.reads & set(given) - set(told) else {}
        with at_rest(model) as device, torch.no_grad():
            x = to_float(images.to(device))
            made = work(x, {name: value.to(device) for name, value in known.items()}, part)
        yield made
        progress(min(start + batch, len(chosen)))


def _labels(model: Model, source: Source) -> Tensor:
    """For each class of the source, its number in the model."""
    names = list(model.recipe["data"]["class_names"])
    if not source.class_names:
        raise UsageError("This model is told the class of each image: give a folder for each class.")
    strangers = [name for name in source.class_names if name not in names]
    if strangers:
        raise UsageError(f"This model is told the class of each image and was trained on none named {strangers[0]!r}.")
    return torch.tensor([names.index(name) for name in source.class_names])


def _opened(model: Model, where: Any, note: Note) -> Splits:
    channels, height, width = model.image_shape
    return open_data(where, size=(height, width), channels=channels, fit=_fit(model), note=note)


def _fit(model: Model) -> str:
    return str(model.recipe["data"].get("fit", "crop"))
