"""Which images does a model find strange? Scores, a threshold with its promise, and how well both tell classes apart.

A score is high where an image is strange. The threshold is the k-th largest score of M normal images that the model
was not trained on. Whatever the distribution of scores, the share of new normal images above it follows
Beta(k, M + 1 - k); k is the largest for which that share is at most the one asked for with 95% confidence
(`privacy/threshold.py`). Where M is too small for any, k is 1, and the confidence is said as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.core import Model, Scores, Source
from triptych.data.arrays import ArraySource
from triptych.errors import DataError, UsageError, nearest
from triptych.evaluation import even, read
from triptych.insight.asking import Progress
from triptych.insight.likelihood import log_likelihoods, samples_of
from triptych.insight.reconstruction import encoder, reconstructed
from triptych.leaks.membership import auc
from triptych.leaks.threshold import confidence_of, rank
from triptych.metrics.estimate import Estimate
from triptych.metrics.neighbours import squared
from triptych.metrics.summary import MOST
from triptych.pixels import HALF, to_float

WAYS = ("likelihood", "reconstruction")
SURE = 1.959963984540054  # deviations of a normal within which 95% lie
Score = Callable[[Source, Progress], Tensor]  # images -> (N,) float64, higher where stranger


class Strangeness(NamedTuple):
    """A way to score images, and what its numbers are."""

    by: str
    unit: str
    words: str
    score: Score


class Limit(NamedTuple):
    """The score above which an image is flagged, and what that promises."""

    score: float
    rank: int  # k: it is the k-th largest normal score
    normal: int  # M
    share: float  # of new normal images are flagged at most ...
    confidence: float  # ... with this confidence, exactly


class ClassRow(NamedTuple):
    """How well scores tell one class from the normal images: the chance that its image scores above a normal one."""

    name: str
    of: int  # images
    auc: Estimate  # by the model
    pixels: Estimate  # by plain distance in pixels to the nearest normal image


class Anomalies(NamedTuple):
    """The findings about N images."""

    scores: Tensor  # (N,) float64
    normal: Tensor  # (M,) float64
    limit: Limit
    flagged: Tensor  # (N,) bool
    trained_on: Tensor  # (N,) bool: bit for bit among the images that the model was trained on
    classes: list[ClassRow]

    def order(self) -> list[int]:
        """The images, strangest first."""
        return [int(row) for row in self.scores.argsort(descending=True, stable=True)]


def strangeness(model: Model, by: str | None = None, seed: int = 0, samples: int | None = None,
                batch: int = 64) -> Strangeness:  # fmt: skip
    """Minus the log-likelihood where the model scores, else the error of its reconstruction; or the one asked for.

    Raises a `UsageError` for a model that can do neither, or not the one asked for.
    """
    way = by or ("likelihood" if isinstance(model, Scores) else "reconstruction")
    if way not in WAYS:
        raise UsageError(f"--by is {way!r}: {nearest(way, WAYS)}")
    if way == "likelihood":
        number = samples_of(model, samples)
        words = f"an upper bound from {number} draws an image" if number else "as the model gives it"
        return Strangeness(way, "nats", f"minus the log-likelihood, {words}",
                           partial(_unlikely, model, seed, number, batch))  # fmt: skip
    encoder(model)
    if samples is not None:
        raise UsageError("--samples is for scores by likelihood; leave it out, or give --by likelihood.")
    words = "the root-mean-square error of the reconstruction from the mean latent"
    return Strangeness(way, "levels", words, partial(_lost, model, batch))


def anomalies(
    score: Score, given: ArraySource, normal: ArraySource, share: float = 0.01, train: ArraySource | None = None,
    progress: Progress = lambda done: None,
) -> Anomalies:  # fmt: skip
    """Score the given images and the normal ones, flag those above the threshold, and compare the classes.

    Where `train` holds what the model was trained on, given images that are among them are left out of the
    comparison, and distances in pixels are those to the nearest of them; else to the nearest other normal image.
    Raises a `DataError` where either side is empty.
    """
    if not len(given) or not len(normal):
        raise DataError(f"{len(given)} images against {len(normal)} normal ones: both sides need one at least.")
    theirs = score(normal, progress)
    ours = score(given, lambda done: progress(len(normal) + done))
    top = limit(theirs, share)
    learnt = _among(given, train)
    classes = _classes(given, ~learnt, ours, theirs, normal, train or normal) if given.class_names else []
    return Anomalies(ours, theirs, top, ours > top.score, learnt, classes)


def limit(normal: Tensor, share: float) -> Limit:
    """The threshold that normal scores (M,) allow."""
    k = max(1, rank(len(normal), share))
    score = float(normal.sort(descending=True).values[k - 1])
    return Limit(score, k, len(normal), share, confidence_of(k, len(normal), share))


def separation(strange: Tensor, normal: Tensor) -> Estimate:
    """Area under the ROC curve of scores (N,) against normal scores (M,), ties counted half.

    The 95% interval is DeLong et al.'s (1988): the variance of each side's placements among the other's. It has
    no width where every strange image scores above every normal one.
    """
    ours, theirs = strange.double(), normal.double()
    value = auc(ours.numpy(), theirs.numpy())
    deviation = (
        _placed(ours, theirs).var(correction=0) / len(ours) + _placed(theirs, ours).var(correction=0) / len(theirs)
    ) ** 0.5
    reach = SURE * float(deviation)
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach))


def pixel_distance(source: Source, known: Source) -> Tensor:
    """Root-mean-square difference in levels to the nearest other image of `known`, premultiplied, (N,) float64.

    Equal images do not count, so that `known` may be measured against itself. At most MOST images of `known` are
    looked at, an even sample. Infinite where there is no other.
    """
    others = torch.cat([_flat(batch.images) for batch in read(known, even(known, MOST))])
    found = []
    for images, _ in read(source):
        apart = squared(_flat(images), others)
        found.append(apart.masked_fill(apart == 0, torch.inf).amin(1) / others.shape[1])
    return HALF * torch.cat(found).sqrt()


def _unlikely(model: Model, seed: int, samples: int | None, batch: int, source: Source, progress: Progress) -> Tensor:
    return -log_likelihoods(model, source, seed, samples, batch, progress).nats


def _lost(model: Model, batch: int, source: Source, progress: Progress) -> Tensor:
    parts = reconstructed(model, source, None, batch, progress)
    return torch.cat([part.error.double().square().mean((1, 2, 3)).sqrt() for part in parts])


def _among(given: ArraySource, train: ArraySource | None) -> Tensor:
    known = set() if train is None else {row.tobytes() for row in train.digests}
    return torch.tensor([row.tobytes() in known for row in given.digests])


def _classes(given: ArraySource, new: Tensor, ours: Tensor, theirs: Tensor, normal: Source,
             known: Source) -> list[ClassRow]:  # fmt: skip
    """Each class of the given images that has new ones, the one that is told apart best first."""
    labels = torch.from_numpy(given.labels)
    far, near = pixel_distance(given, known), pixel_distance(normal, known)
    rows = []
    for number, name in enumerate(given.class_names):
        mine = new & (labels == number)
        if mine.any():
            by_model, by_pixels = separation(ours[mine], theirs), separation(far[mine], near)
            rows.append(ClassRow(name, int(mine.sum()), by_model, by_pixels))
    return sorted(rows, key=lambda row: -row.auc.value)


def _placed(a: Tensor, b: Tensor) -> Tensor:
    """For each of a (N,) the share of b (M,) below it, ties counted half."""
    b = b.sort().values
    return (torch.searchsorted(b, a) + torch.searchsorted(b, a, right=True)).double() / (2 * len(b))


def _flat(images: Tensor) -> Tensor:
    return to_float(images).flatten(1).double()
