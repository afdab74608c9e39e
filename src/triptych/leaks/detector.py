"""A detector of copies, set on real images and tested on real and planted ones before it is used.

Two tests, each with a threshold of its own and half of the false alarms allowed: the distance in
pixels to the nearest training image, and the ratio of the distances to the nearest and to the second
in features. An image is flagged where either is below its threshold.

The thresholds come from real images that the model never saw: half of the held-out images where
there are CALIBRATE of them or more; until there are enough, training images, each compared with all
others. Held-out images that are within TWIN levels of a training image are copies themselves, on both
sides of the split; they are counted and set aside. The other held-out images and the planted copies
are the controls: nothing was set on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from triptych import chance
from triptych.core import Source
from triptych.errors import DataError
from triptych.evaluation import even, read, summarise
from triptych.extractors import Extractor
from triptych.leaks.nearest import FeatureSearch, PixelSearch
from triptych.leaks.planted import planted
from triptych.leaks.threshold import RATE, rank, threshold
from triptych.metrics.summary import MOST, Rows

CALIBRATE = 1_000  # real images that set the thresholds; as many held-out ones are a control
SAMPLE = 500  # training images at least that are compared with the others
PLANTED = 100
TWIN = 8.0  # levels in the worst patch: below that two images are the same to the eye
Progress = Callable[[int, int], None]  # images done, of so many


class Seen(NamedTuple):
    """How near each of B images is to the training images."""

    row: Tensor  # (B,) the nearest training image by pixels
    distance: Tensor  # (B,) its worst patch, in levels
    alike: Tensor  # (B,) the nearest in features
    ratio: Tensor  # (B,) nearest over second in features, 0 to 1

    def take(self, rows: Tensor) -> Seen:
        """Some of the images."""
        return Seen(*(part[rows] for part in self))

    def __add__(self, other: Seen) -> Seen:  # type: ignore[override]
        return Seen(*(torch.cat(parts) for parts in zip(self, other, strict=True)))


class Limits(NamedTuple):
    """The thresholds, and what they promise."""

    pixels: float  # levels
    features: float | None  # a ratio; None: too few real images for a second test
    set_on: int  # real images
    promise: str


class Controls(NamedTuple):
    """What the detector did with images of which the truth is known."""

    planted: int
    planted_found: int
    held_out: int
    held_out_flagged: int
    aside: int  # held-out images that repeat a training image, of all that were looked at
    looked_at: int


class Duplicates(NamedTuple):
    """Repeats among the training images."""

    images: int
    exact: int  # images that repeat an earlier one bit for bit
    sampled: int
    near: int  # of the sample: images within TWIN levels of another, mirrored or moved too


class Detector:
    """Made once for a data set; then it looks at the images of any model trained on it.

    `known` are the rows of `reference(train, ...)` where they are at hand; else the same images are
    seen here. `seed` draws the images of the controls.
    Raises a `DataError` where there are fewer than two training images or none held out.
    """

    limits: Limits
    controls: Controls
    duplicates: Duplicates

    def __init__(self, train: Source, validation: Source, look: Extractor, seed: int = 0,
                 known: Rows | None = None, progress: Progress = lambda done, of: None) -> None:  # fmt: skip
        if len(train) < 2 or not len(validation):
            raise DataError(
                f"{len(train)} training and {len(validation)} held-out images: a search for copies needs 2 and 1."
            )
        steps = 5
        progress(0, steps)
        self.train, self.look, self.seed = train, look, seed
        self.pixels = PixelSearch(train)
        progress(1, steps)
        self.features = FeatureSearch(_sampled(train, look) if known is None else known, look)
        progress(2, steps)
        held = self.see(validation.read(self._some(len(validation), 2 * CALIBRATE, "held out").tolist()).images)
        apart = held.distance > TWIN
        half = len(apart) // 2 if len(apart) >= CALIBRATE else 0
        calm, control = held.take(apart[:half].nonzero()[:, 0]), held.take(half + apart[half:].nonzero()[:, 0])
        progress(3, steps)
        rows = self._some(len(train), max(SAMPLE, CALIBRATE - len(calm.row)), "training")
        others = self.see(train.read(rows.tolist()).images, rows)
        self.duplicates = Duplicates(len(train), self._repeats(), len(rows), int((others.distance <= TWIN).sum()))
        distinct = (others.distance > TWIN).nonzero()[:, 0][: max(0, CALIBRATE - len(calm.row))]
        self.limits = _limits(calm + others.take(distinct))
        progress(4, steps)
        found, flagged = self.flagged(self.see(self._planted())), self.flagged(control)
        self.controls = Controls(len(found), int(found.sum()), len(flagged), int(flagged.sum()),
                                 int((~apart).sum()), len(apart))  # fmt: skip
        progress(5, steps)

    def see(self, images: Tensor, without: Tensor | None = None) -> Seen:
        """How near uint8 images (B, C, H, W) are; image i is not compared with training image `without[i]`."""
        near, alike = self.pixels.nearest(images, without), self.features.ratios(images, without)
        return Seen(near.rows[:, 0], near.distance[:, 0], alike.row, alike.ratio)

    def closeness(self, seen: Seen) -> Tensor:
        """(B,): the smaller of distance and ratio, each in units of its threshold; below 1 an image is flagged."""
        by_pixels = seen.distance / self.limits.pixels
        if self.limits.features is None:
            return by_pixels
        return torch.minimum(by_pixels, seen.ratio / self.limits.features)

    def flagged(self, seen: Seen) -> Tensor:
        """(B,) bool."""
        return self.closeness(seen) < 1

    def source_of(self, seen: Seen) -> Tensor:
        """(B,): the training image that the deciding test found."""
        by_pixels = seen.distance / self.limits.pixels
        return torch.where(by_pixels <= self.closeness(seen), seen.row, seen.alike)

    def _planted(self) -> Tensor:
        rows = self._some(len(self.train), PLANTED, "planted")
        return planted(self.train.read(rows.tolist()).images, self.seed)

    def _repeats(self) -> int:
        return len(self.pixels.digests) - len(torch.unique(self.pixels.digests, dim=0))

    def _some(self, count: int, most: int, purpose: str) -> Tensor:
        """At most `most` of `count` places, drawn without repeats."""
        return torch.randperm(count, generator=chance.generator("privacy", purpose, self.seed))[:most]


def _sampled(train: Source, look: Extractor) -> Rows:
    """The rows that `reference` would keep."""
    places = even(train, MOST)
    rows = summarise(read(train, places), look).rows
    return Rows(torch.tensor(places)[rows.index], rows.features)


def _limits(real: Seen) -> Limits:
    """The thresholds that the scores of real images allow."""
    n, tests = len(real.row), 2 if rank(len(real.row), RATE / 2) else 1
    pixels = threshold(real.distance, RATE / tests)
    if pixels is None:
        return Limits(TWIN, None, n, f"{n} real images are too few to promise a rate of false alarms: "
                      f"only images within {TWIN:g} levels of a training image are flagged")  # fmt: skip
    features = threshold(real.ratio, RATE / tests) if tests == 2 else None
    promise = f"set on {n:,} real images: at most {RATE:.0%} of new real images are flagged, with 95% confidence"
    return Limits(max(pixels, TWIN), features, n, promise)
