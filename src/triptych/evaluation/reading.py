"""A stream of uint8 images as a `Summary`, and a model's images as a source like any other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from triptych.core import NOTHING, Batch, Given, Model, Source
from triptych.data.arrays import MOST_IN_MEMORY, ArraySource
from triptych.errors import UsageError
from triptych.extractors import TOGETHER, Extractor
from triptych.metrics.summary import MOST, Summary, View, gather, hashes
from triptych.sampling import generate
from triptych.words import size

Progress = Callable[[int], None]  # images done so far


def unwatched(done: int) -> None:
    """Progress that nobody watches."""


def summarise(batches: Iterable[Batch], look: Extractor, most: int = MOST, progress: Progress = unwatched) -> Summary:
    """The summary of uint8 batches, image i being the i-th of the stream; in memory that does not grow.

    Raises a `DataError` where there are no images, and a `UsageError` for an extractor that does not
    give one row of features for each image.
    """
    return gather(look.about, _views(batches, look, progress), most)


def _views(batches: Iterable[Batch], look: Extractor, progress: Progress) -> Iterator[View]:
    done = 0
    for images, given in batches:
        for start in range(0, len(images), TOGETHER):
            part = images[start : start + TOGETHER]
            seen = look.look(part)
            if seen.features.ndim != 2 or len(seen.features) != len(part):
                shape = tuple(seen.features.shape)
                raise UsageError(
                    f"The extractor {look.name} gives features {shape} for {len(part)} images: "
                    "let it give one row for each image."
                )
            labels = given["labels"][start : start + TOGETHER].cpu() if "labels" in given else None
            yield View(seen.features, seen.logits, labels)
            done += len(part)
            progress(done)


def read(source: Source, rows: Sequence[int] | None = None) -> Iterator[Batch]:
    """The images of a source at these positions, in batches; all of them, in their order, where none are given."""
    chosen = range(len(source)) if rows is None else rows
    for start in range(0, len(chosen), TOGETHER):
        yield source.read(chosen[start : start + TOGETHER])


def even(source: Source, most: int) -> list[int]:
    """The positions of at most so many images, in order: an even sample that follows from the positions alone."""
    chosen = np.argsort(hashes(np.arange(len(source))), kind="stable")[:most]
    return sorted(chosen.tolist())


def generated(
    model: Model,
    seeds: Sequence[int],
    given: Given = NOTHING,
    batch: int = 64,
    progress: Progress = unwatched,
    **how: Any,
) -> ArraySource:
    """The images of a model at these seeds, held in memory; each is named after its seed.

    `given`, `batch` and `how` are those of `generate`. Raises a `UsageError` where the images are too
    many to be held.
    """
    needed = len(seeds) * math.prod(model.image_shape)
    if needed > MOST_IN_MEMORY:
        raise UsageError(
            f"{len(seeds):,} images of this model take {size(needed)} of memory: "
            "write them into a folder with 'triptych sample' and evaluate that."
        )
    images, labels, done = np.empty((len(seeds), *model.image_shape), np.uint8), [], 0
    for part in generate(model, seeds, given, batch, **how):
        images[done : done + len(part.images)] = part.images.numpy()
        labels += [part.given["labels"]] if "labels" in part.given else []
        done += len(part.images)
        progress(done)
    known = getattr(model, "recipe", {}).get("data", {}).get("class_names", ())
    class_names = known or [str(label) for label in range(model.classes)]
    names = [f"seed-{seed:08d}" for seed in seeds]
    return ArraySource(images, torch.cat(labels).numpy() if labels else None, class_names, names)
