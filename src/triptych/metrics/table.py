"""All metrics of two sets of images, in the order in which they are read.

A metric that too few images feed is refused with the number that it needs: a number that says
nothing is worse than none. The intervals are those of drawing the generated images anew, against
this reference; for recall and coverage, which are shares of real images, of drawing the real ones anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

from triptych.errors import DataError, UsageError, nearest
from triptych.metrics import fid, kernel, neighbours
from triptych.metrics.bootstrap import interval_around, interval_of_mean
from triptych.metrics.estimate import Estimate, Score
from triptych.metrics.inception import inception_score
from triptych.metrics.summary import Summary
from triptych.metrics.vendi import vendi
from triptych.words import short

PUBLISHED = "inception"  # with this extractor the metrics bear the names of their papers
OF_PAPERS = {"FD": "FID", "KD": "KID"}
LIKE_CLIP = ("clip", "dinov2")  # extractors for which the bandwidth of CMMD is made


class Pair:
    """Two sets as one extractor sees them, and what several metrics share.

    Raises a `DataError` for summaries of two extractors.
    """

    def __init__(self, real: Summary, made: Summary) -> None:
        if real.extractor != made.extractor:
            raise DataError(f"{made.extractor} saw the generated images, {real.extractor} the real ones: use one.")
        self.real, self.made = real, made
        self.extractor = named(real.extractor)
        self.x, self.y = real.rows.features, made.rows.features

    @cached_property
    def near(self) -> neighbours.Near:
        return neighbours.near(self.x, self.y)


class Metric(NamedTuple):
    """How a number is called, computed and read."""

    key: str
    label: str  # before "-<extractor>"
    better: str  # "lower" or "higher"
    least: int | None  # images that it needs on each side; None: more than there are features
    function: Callable[[Pair], tuple[Estimate, str]]  # the number, and what to know of it
    about: str
    alone: bool = False  # it is of the generated images alone


def _frechet(pair: Pair) -> tuple[Estimate, str]:
    between = fid.between(pair.real.moments, pair.made.moments)
    raw = fid.distance(between)
    value, low, high = interval_around(raw, fid.influence(between, pair.y), pair.made.n)
    note = f"At these N ({sizes(pair)}) a perfect model would score about {short(fid.bias(between))}."
    if raw < 0:
        note += f" Rounding made it {raw:.1g}, set to 0."
    return Estimate(max(0.0, value), max(0.0, low), max(0.0, high)), note


def _mmd(pair: Pair) -> tuple[Estimate, str]:
    if pair.extractor.startswith(LIKE_CLIP):
        return kernel.cmmd(pair.x, pair.y), "Bandwidth 10 on features of length 1, times 1000, as CMMD."
    width = kernel.median_distance(pair.x)
    return kernel.mmd(pair.x, pair.y, width), f"Bandwidth {short(width)}, the median distance of real images."


def _inception(pair: Pair) -> tuple[Estimate, str]:
    if pair.made.rows.logits is None:
        raise DataError("The extractor does not classify: use bundled or inception.")
    return inception_score(pair.made.rows.logits), ""


def _mean(column: str) -> Callable[[Pair], tuple[Estimate, str]]:
    return lambda pair: (interval_of_mean(getattr(pair.near, column)), "")


METRICS: tuple[Metric, ...] = (
    Metric(
        "frechet",
        "FD",
        "lower",
        None,
        _frechet,
        "Frechet distance of two Gaussians, fitted to the features of all images of each set (Heusel et al. 2017).",
    ),
    Metric(
        "kid",
        "KD",
        "lower",
        50,
        lambda pair: (kernel.kid(pair.x, pair.y), ""),
        "Kernel distance with a cubic kernel, unbiased: 0 on average for equal sets (Binkowski et al. 2018).",
    ),
    Metric(
        "inception-score",
        "IS",
        "higher",
        500,
        _inception,
        "Sure of the class of each image, spread over all classes; never sees a real image (Salimans et al. 2016).",
        alone=True,
    ),
    Metric(
        "precision",
        "precision",
        "higher",
        100,
        _mean("precision"),
        "Share of generated images among the real ones, 3 neighbours (Kynkaanniemi et al. 2019).",
    ),
    Metric(
        "recall",
        "recall",
        "higher",
        100,
        _mean("recall"),
        "Share of real images among the generated ones, 3 neighbours (Kynkaanniemi et al. 2019).",
    ),
    Metric(
        "density",
        "density",
        "higher",
        100,
        _mean("density"),
        "How crowded with real images the places of generated ones are; 1 for equal sets (Naeem et al. 2020).",
    ),
    Metric(
        "coverage",
        "coverage",
        "higher",
        100,
        _mean("coverage"),
        "Share of real images with a generated one among their 5 nearest neighbours (Naeem et al. 2020).",
    ),
    Metric(
        "mmd",
        "MMD",
        "lower",
        50,
        _mmd,
        "Squared maximum mean discrepancy, Gaussian kernel, unbiased (Gretton et al. 2012; Jayasumana et al. 2024).",
    ),
    Metric(
        "vendi",
        "Vendi",
        "higher",
        50,
        lambda pair: (vendi(pair.y), ""),
        "How many different images there seem to be; never sees a real image (Friedman and Dieng 2023).",
        alone=True,
    ),
    Metric(
        "authenticity",
        "authenticity",
        "higher",
        100,
        _mean("authentic"),
        "Share of generated images no nearer to a real one than real ones are to each other (Alaa et al. 2022).",
    ),
)
KEYS = tuple(metric.key for metric in METRICS)


def scores(real: Summary, made: Summary, keys: Iterable[str] | None = None) -> list[Score]:
    """All metrics, or those of these keys, in the order of the table.

    Raises a `DataError` for summaries of two extractors, a `UsageError` for an unknown key.
    """
    asked = set(KEYS if keys is None else keys)
    for key in sorted(asked - set(KEYS)):
        raise UsageError(f"No metric {key!r}: {nearest(key, KEYS)}")
    pair = Pair(real, made)
    return [score(metric, pair) for metric in METRICS if metric.key in asked]


def score(metric: Metric, pair: Pair) -> Score:
    """One metric, or the reason why it is refused."""
    label = labelled(metric, pair.extractor)
    try:
        enough(metric, pair)
        estimate, note = metric.function(pair)
    except DataError as refusal:
        return Score(metric.key, label, metric.better, None, str(refusal))
    return Score(metric.key, label, metric.better, estimate, note)


def enough(metric: Metric, pair: Pair) -> None:
    """Raises a `DataError` where a side has fewer images than the metric needs."""
    features = len(pair.real.moments.mean)
    least = features + 1 if metric.least is None else metric.least
    if min(pair.made.n, least if metric.alone else pair.real.n) < least:
        why = f", more than the {features:,} features" if metric.least is None else ""
        raise DataError(f"Needs at least {least:,} images{why}; there are {sizes(pair, metric.alone)}: add images.")


def sizes(pair: Pair, alone: bool = False) -> str:
    """How many images there are, in words."""
    return f"{pair.made.n:,} generated" + ("" if alone else f" and {pair.real.n:,} real")


def named(about: str) -> str:
    """The name at the start of an extractor's `about`."""
    return about.split()[0].rstrip(",:;")


def labelled(metric: Metric, extractor: str) -> str:
    """The metric's name with the extractor in it: FID for inception, FD-bundled for bundled."""
    if extractor == PUBLISHED:
        return OF_PAPERS.get(metric.label, metric.label)
    return f"{metric.label}-{extractor}"
