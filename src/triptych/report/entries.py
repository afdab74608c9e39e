"""What a comparison found: a heading, and an entry for each model with its trials, speeds and scores.

A trial is one training seed. Numbers that could not be had are None, lists of them empty; the page
leaves out what no model has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from torch import Tensor

from triptych.metrics.estimate import Estimate, Score

IN_LOOP = "FD-bundled"  # the score that is taken while a model trains; lower is better


class Point(NamedTuple):
    """That score at one moment of the training."""

    seconds: float  # of training, scoring excluded
    seen: int  # images
    value: float


class Trial(NamedTuple):
    """One training seed of one model."""

    seed: int
    curve: Sequence[Point] = ()
    scores: Sequence[Score] = ()  # of the trained model
    failure: str = ""  # why the training did not finish
    alarms: Sequence[str] = ()  # what its monitors said


class Speed(NamedTuple):
    """One setting of the knob that trades quality for speed when sampling."""

    words: str  # "steps 10"
    milliseconds: float  # an image
    score: Score | None


class ClassRow(NamedTuple):
    """One class among the generated images; an image is of the class of its nearest real image."""

    name: str
    share: float  # of the generated images, in [0, 1]
    real_share: float
    coverage: float  # of the class's real images, in [0, 1]


class Copies(NamedTuple):
    """Generated images that repeat a training image."""

    flagged: int
    of: int
    low: float  # 95% interval of per_10_000
    high: float
    per_10_000: float


class Entry(NamedTuple):
    """One model of a comparison."""

    name: str
    family: str
    paper: str
    images: Tensor | None = None  # uint8 (N, C, H, W), one for each seed
    log: Sequence[Mapping[str, float]] = ()  # the lines of metrics.jsonl
    parameters: int | None = None
    seen: int | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    peak_memory: int | None = None  # bytes
    memory_of: str = "process"  # or "device"
    milliseconds: float | None = None  # for one image when sampling
    sampler: str = ""  # the model's own words on how it samples
    failure: str = ""  # why there is nothing to show, or not all
    training_flops: float | None = None  # of one training image, all turns
    sampling_flops: float | None = None  # of one generated image
    energy: float | None = None  # joules of the training
    trials: Sequence[Trial] = ()
    speeds: Sequence[Speed] = ()
    classes: Sequence[ClassRow] = ()
    copies: Copies | None = None
    psnr: Estimate | None = None  # decibels, of reconstructions
    ssim: Estimate | None = None
    probe: Estimate | None = None  # accuracy of a linear probe on the features, in [0, 1]
    bits: Estimate | None = None  # bits/dim
    bits_are: str = ""  # "bound" or "exact"


class Heading(NamedTuple):
    """What all entries share."""

    data: str
    about: str  # the data in a few words: how many, how large, how many classes
    real: Tensor  # uint8 (N, C, H, W)
    budget: str  # "45 s of training"
    machine: str
    date: datetime
    seeds: range  # of the images shown
    notes: Sequence[str] = ()  # more footnotes
    scored: str = ""  # how scores came about: extractor, how many images, split, resize, reference
    probe_of_pixels: Estimate | None = None  # the linear probe's accuracy on bare pixels
    real_scores: Sequence[Score] = ()  # of real images that no model was trained on
    caption: str = ""  # one more line under the title


PICTURED = ("images", "log", "real")  # too large for JSON; the PNGs and each run's log hold them


def plain(value: Any) -> Any:
    """A value as JSON knows it: tuples with names become objects, numbers that are not finite None."""
    value = value._asdict() if isinstance(value, tuple) and hasattr(value, "_asdict") else value
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items() if key not in PICTURED}
    if isinstance(value, range):
        return [value.start, value.stop - 1]
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
