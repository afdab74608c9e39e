"""All that metrics need of a set of images: exact moments of every image, and rows of an even sample.

Which rows are kept follows from each image's index alone (the smallest hashes win), so neither the
order, nor the size of the batches, nor the number of processes changes what is kept: the sample of
two parts together is the smallest hashes of both samples. Memory does not grow with the images.

Notation: N images, K rows kept, D features, L logits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.errors import DataError
from triptych.metrics.moments import Moments

MOST = 10_000  # rows kept
BLOCK = 512  # rows whose moments are taken at once, or twice as many as there are features
NOTHING = "There are no images to evaluate: give at least one."


class View(NamedTuple):
    """What an extractor saw in a batch, and the labels of its images."""

    features: Tensor  # (B, D)
    logits: Tensor | None = None  # (B, L)
    labels: Tensor | None = None  # (B,)


class Rows(NamedTuple):
    """Rows of features, each with the index of its image; ordered by the hash of the index."""

    index: Tensor  # type: ignore[assignment]  # (K,) int64
    features: Tensor  # (K, D) float32
    logits: Tensor | None = None  # (K, L) where the extractor classifies
    labels: Tensor | None = None  # (K,) int64, where every image has one

    def take(self, rows: Tensor) -> Rows:
        """The rows at these places, in this order."""
        return Rows(*(None if part is None else part[rows] for part in self))  # type: ignore[arg-type]


Part = tuple[Moments, Rows]


class Summary(NamedTuple):
    """A set of images as one extractor sees it."""

    extractor: str  # the extractor's `about`
    moments: Moments
    rows: Rows
    most: int = MOST

    @property
    def n(self) -> int:
        return self.moments.n

    def __add__(self, other: Summary) -> Summary:  # type: ignore[override]
        """Both sets together."""
        return total([self, other])


def gather(extractor: str, views: Iterable[View], most: int = MOST, first: int = 0) -> Summary:
    """The summary of a stream of batches, whose images are number first, first + 1, ...

    Raises a `DataError` where there are no images, or where a feature is not a finite number.
    """

    def parts() -> Iterator[Part]:
        start = first
        for features, logits, labels in blocks(views):
            moments = Moments.of(features)
            if not torch.isfinite(moments.mean).all():
                raise DataError(_wrong(extractor, start, features))
            yield moments, Rows(torch.arange(start, start + len(features)), features.float(), logits, labels)
            start += len(features)

    return _collected(extractor, parts(), most)


def blocks(views: Iterable[View]) -> Iterator[View]:
    """The same rows in main memory, in larger batches: many small products cost more than one large one."""
    waiting: list[View] = []
    for view in views:
        waiting.append(view)
        if sum(len(part.features) for part in waiting) >= max(BLOCK, 2 * view.features.shape[1]):
            yield View(*joined(waiting))  # type: ignore[arg-type]
            waiting = []
    if waiting:
        yield View(*joined(waiting))  # type: ignore[arg-type]


def summary(extractor: str, first: int, features: Tensor, logits: Tensor | None = None,
            labels: Tensor | None = None, most: int = MOST) -> Summary:  # fmt: skip
    """The summary of features (B, D) of the images number first, first + 1, ...; errors as `gather`."""
    return gather(extractor, [View(features, logits, labels)], most, first)


def total(parts: Iterable[Summary]) -> Summary:
    """The summary of all parts together. Raises a `DataError` for no parts, or parts of two extractors."""
    parts = iter(parts)
    first = next(parts, None)
    if first is None:
        raise DataError(NOTHING)

    def rest() -> Iterator[Part]:
        for part in chain([first], parts):
            if part.extractor != first.extractor:
                raise DataError(f"Features of {first.extractor} and of {part.extractor} do not go together: use one.")
            yield part.moments, part.rows

    return _collected(first.extractor, rest(), first.most)


def _collected(extractor: str, parts: Iterator[Part], most: int) -> Summary:
    """All parts together; rows are sorted only when as many have come as are kept."""
    moments, rows = next(parts, (None, None))
    if moments is None or rows is None:
        raise DataError(NOTHING)
    waiting = [rows]
    for more, rows in parts:
        moments += more
        waiting.append(rows)
        if sum(len(part.index) for part in waiting[1:]) >= most:
            waiting = [_sample(waiting, most)]
    return Summary(extractor, moments, _sample(waiting, most), most)


def _sample(parts: Sequence[Rows], most: int) -> Rows:
    return kept(Rows(*joined(parts)), most)  # type: ignore[arg-type]


def _wrong(extractor: str, first: int, features: Tensor) -> str:
    """A sentence that names the first image with a feature that is not a finite number."""
    wrong = (~torch.isfinite(features).all(1)).nonzero()[:, 0]
    return (
        f"{extractor} sees numbers that are not finite in {len(wrong)} of {len(features)} images, the first is number "
        f"{first + int(wrong[0])}: check those images, or use another extractor."
    )


def joined(parts: Sequence[tuple[Tensor | None, ...]]) -> list[Tensor | None]:
    """Each column as one tensor, or None where a part lacks it."""
    columns: list[Tensor | None] = []
    for column in zip(*parts, strict=True):
        there = [part for part in column if part is not None]
        columns.append(torch.cat(there).detach().cpu() if len(there) == len(column) else None)
    return columns


def kept(rows: Rows, most: int) -> Rows:
    """The `most` rows with the smallest hashes."""
    order = np.argsort(hashes(rows.index.numpy()), kind="stable")[:most]
    return rows.take(torch.from_numpy(order))


def hashes(index: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A random-looking 64-bit number for each index (the finaliser of SplitMix64, Steele et al. 2014)."""
    z = index.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = z ^ (z >> np.uint64(31))
    return mixed
