"""Images at rest in one array: in memory, or mapped from a pack's file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triptych import chance
from triptych.core import Batch, Shape
from triptych.data.decode import Pixels
from triptych.data.fit import Size, channel_note, fit_to, to_channels
from triptych.errors import DataError
from triptych.labels import written
from triptych.words import shown

Labels = NDArray[np.int64]
Digests = NDArray[np.uint8]  # (N, 32): the SHA-256 of each image
MOST_IN_MEMORY = 4 * 2**30


class ArraySource:
    """A `Source` over uint8 images (N, C, H, W) with straight alpha, or over some rows of them.

    `labels` (N,) are positions in `class_names`; without labels there are no class names. `texts` are one for each
    image, or none at all. Where `path` is given, an image is compared with its digest when it is first read.
    """

    def __init__(
        self,
        images: Pixels,
        labels: Labels | None = None,
        class_names: Sequence[str] = (),
        names: Sequence[str] | None = None,
        digests: Digests | None = None,
        rows: NDArray[np.int64] | None = None,
        texts: Sequence[str] = (),
        path: Path | None = None,
        unread: NDArray[np.bool_] | None = None,
    ) -> None:
        self._images = images
        self._labels = labels
        self._names = names if names is not None else [f"{index:06d}" for index in range(len(images))]
        self._digests = digests
        self._texts = texts
        self._path = path  # of the file that the images are mapped from
        self._unread = np.ones(len(images), np.bool_) if unread is None else unread  # shared by all subsets
        self._rows = np.arange(len(images)) if rows is None else rows
        self.image_shape: Shape = (images.shape[1], images.shape[2], images.shape[3])
        self.class_names = tuple(class_names) if labels is not None else ()

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, indices: Sequence[int]) -> Batch:
        """uint8 images (B, C, H, W) and, where there are any, "labels" (B,) and "text" (B, L), L the longest of all."""
        rows = self._rows[np.asarray(indices, dtype=np.int64)]
        images = torch.from_numpy(self._pixels(rows))
        given = {} if self._labels is None else {"labels": torch.from_numpy(self._labels[rows])}
        given |= {"text": written([self._texts[row] for row in rows], self._longest)} if self._texts else {}
        return Batch(images, given)

    def _pixels(self, rows: NDArray[np.int64]) -> Pixels:
        """uint8 images (B, C, H, W) of the array; raises a `DataError` where a file has changed under them."""
        images = np.ascontiguousarray(self._images[rows])
        if self._path is None or self._digests is None or not self._unread[rows].any():
            return images
        new = self._unread[rows]
        differs = (digest(images[new]) != self._digests[rows[new]]).any(axis=1)
        if differs.any():
            name = shown(self._names[rows[new][differs][0]])
            raise DataError(
                f"{shown(str(self._path))} has changed since it was written: the pixels of {name} are not those that "
                "were packed; delete the pack and make it anew."
            )
        self._unread[rows] = False
        return images

    def subset(self, rows: NDArray[np.int64]) -> ArraySource:
        """The images at these positions; the pixels are shared."""
        rows = self._rows[rows]
        shared = (self._images, self._labels, self.class_names, self._names, self._digests)
        return ArraySource(*shared, rows, self._texts, self._path, self._unread)

    @cached_property
    def names(self) -> Sequence[str]:
        return [self._names[row] for row in self._rows]

    @cached_property
    def texts(self) -> Sequence[str]:
        """One for each image, or ()."""
        return [self._texts[row] for row in self._rows] if self._texts else ()

    @cached_property
    def _longest(self) -> int:
        """Bytes of the longest text, the same for every subset."""
        return max(len(text.encode()) for text in self._texts)

    @cached_property
    def labels(self) -> Labels | None:
        """(N,), or None."""
        return None if self._labels is None else self._labels[self._rows]

    @cached_property
    def digests(self) -> Digests:
        """(N, 32): the SHA-256 of each image's pixels."""
        if self._digests is None:
            return digest(self._images[row] for row in self._rows)
        return self._digests[self._rows]

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.image_shape, self.digests, self.labels, self.class_names, self.names, self.texts)

    def refitted(self, size: Size | None, channels: int | None, fit: str) -> tuple[ArraySource, dict[str, int]]:
        """This source in another size and number of channels, in memory; for each note, how many images."""
        present, height, width = self.image_shape
        size, channels = size or (height, width), channels or present
        if (channels, *size) == self.image_shape:
            return self, {}
        total = len(self) * channels * size[0] * size[1]
        if total > MOST_IN_MEMORY:
            raise DataError(f"{total:,} bytes are too many to convert in memory: pack the images at this size.")
        images, counts = np.empty((len(self), channels, *size), np.uint8), dict[str, int]()
        for index, row in enumerate(self._rows):
            pixels, notes = fit_to(np.ascontiguousarray(self._pixels(np.array([row]))[0].transpose(1, 2, 0)), size, fit)
            images[index] = to_channels(pixels, channels).transpose(2, 0, 1)
            for note in (*notes, *channel_note(present, channels)):
                counts[note] = counts.get(note, 0) + 1
        return ArraySource(images, self.labels, self.class_names, self.names, texts=self.texts), counts


def digest(images: Iterable[Pixels]) -> Digests:
    """The SHA-256 of the pixels of each image (C, H, W), as (N, 32)."""
    digests = b"".join(hashlib.sha256(image.tobytes()).digest() for image in images)
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def fingerprint(
    shape: Shape,
    digests: Digests,
    labels: Labels | None,
    class_names: Sequence[str],
    names: Sequence[str],
    texts: Sequence[str] = (),
) -> str:
    """64 hexadecimal digits that change when any pixel, label, class name, image name or text does."""
    facts = repr((shape, len(digests), tuple(class_names)))
    total = hashlib.sha256(facts.encode("utf-8", "backslashreplace"))
    total.update(digests.tobytes())
    total.update(b"unlabelled" if labels is None else labels.astype("<i8").tobytes())
    for name in (*names, *(texts if any(texts) else ())):
        total.update(name.encode("utf-8", "surrogatepass") + b"\0")
    return total.hexdigest()


def held_out(digests: Digests, seed: int, fraction: float) -> NDArray[np.bool_]:
    """(N,), True for validation: decided for each image by its own pixels and the seed.

    Copies of one image are therefore on one side, and an image that is added moves no other. At
    least one image is on each side, if two differ; the fraction is met on average.
    """
    chances = np.array([chance.key("split", seed, row.tobytes().hex()) for row in digests]) / 2**63
    mask: Any = chances < fraction
    if len(chances) and not mask.any():
        mask = chances == chances.min()
    if mask.all():
        mask = chances != chances.max()
    return np.asarray(mask)
