"""Generated images against real ones, seen by one extractor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from triptych.core import Source
from triptych.errors import DataError
from triptych.evaluation.reading import even, read, summarise
from triptych.evaluation.reference import reference
from triptych.evaluation.skills import Skills
from triptych.extractors import Extractor
from triptych.metrics.estimate import Score
from triptych.metrics.moments import Moments
from triptych.metrics.neighbours import nearest
from triptych.metrics.summary import Rows, Summary
from triptych.metrics.table import METRICS, Pair, score, scores
from triptych.report.entries import ClassRow
from triptych.screen import Screen
from triptych.words import join

SHOWN = 24  # images at either end of the order
OF_PAPERS = ("inception", "dinov2", "clip")  # extractors whose numbers are published
FEW = 6  # images of each side below which neighbours say nothing


class Sides(NamedTuple):
    """The real images of an evaluation."""

    name: str  # of the data
    real: Source  # the reference
    split: str  # which side of the data it is: "train", "validation" or "everything"
    held_out: Source | None = None  # real images apart from the reference: what a perfect model would make


class Setting(NamedTuple):
    """What a number depends on besides the images."""

    extractor: str  # its name
    about: str  # its weights, size and resize filter
    n_made: int  # generated images
    n_real: int
    data: str  # of the reference
    split: str
    reference: str  # the first digits of the fingerprint of the real images
    n_held_out: int  # held-out real images that were scored as if generated

    def words(self) -> str:
        """The line that belongs to every number."""
        return (
            f"{self.about}; {self.n_made:,} generated against {self.n_real:,} real images "
            f"({self.data}, {self.split}, reference {self.reference})"
        )


class Judgement(NamedTuple):
    """Generated images as one extractor sees them."""

    setting: Setting
    scores: Sequence[Score]
    held_out: Sequence[Score]  # of held-out real images; () where there are none
    classes: Sequence[ClassRow]  # () where the real images have no labels
    kernels: Mapping[str, Score]  # by class, where the generated images have labels too
    worst: Sequence[int]  # positions of generated images where real ones are rarest, the worst first
    best: Sequence[int]  # and where they are densest, the best first


class Evaluated(NamedTuple):
    """What `evaluate` found."""

    name: str  # of the generated images
    made: str  # how they came about, in a few words
    against: str  # the name of the real images
    judgements: Sequence[Judgement]  # one for each extractor
    notes: Sequence[str]  # what else to know of the numbers
    skills: Skills | None  # of the model, where it does more than making images
    privacy: Mapping[str, Any] | None  # what the search for copies found, where it was asked for
    page: str
    json: str


def remarks(judgements: Sequence[Judgement]) -> list[str]:
    """What has to be said beside the numbers."""
    said = []
    own = [j.setting.extractor for j in judgements if j.setting.extractor not in OF_PAPERS]
    if own:
        said.append(f"Numbers of {join(own)} compare models with each other; they are not the numbers of papers.")
    setting = judgements[0].setting
    if 0 < setting.n_held_out < setting.n_made:
        said.append(
            f"There are only {setting.n_held_out:,} held-out real images: fewer images cover less and are further "
            "from the reference by that alone."
        )
    if setting.split != "validation":
        said.append(
            "A model that repeats its training images scores well here; only a search for copies (--privacy) tells."
        )
    return said


def judge(made: Source, sides: Sides, look: Extractor, screen: Screen) -> Judgement:
    """Scores, classes, the worst and the best of generated images.

    Raises a `DataError` where a side has fewer than two images.
    """
    for source, what in ((made, "generated"), (sides.real, "real")):
        if len(source) < 2:
            are = "is one" if len(source) else "are no"
            raise DataError(f"There {are} {what} image{'' if len(source) else 's'}: a score compares sets, give more.")
    with screen.progress(f"{look.name}: real", len(sides.real), keep=False) as line:
        real = reference(sides.real, sides.split, look, screen.say, line)
    ours = _seen(made, range(len(made)), look, "generated", screen)
    apart = even(sides.held_out, len(made)) if sides.held_out else []
    pair = Pair(real, ours)
    closest = nearest(pair.x, pair.y)  # (M,)
    order = by_density(pair, closest)
    names = sides.real.class_names
    digits = sides.real.fingerprint[:12]
    return Judgement(
        setting=Setting(look.name, look.about, ours.n, real.n, sides.name, sides.split, digits, len(apart)),
        scores=[score(metric, pair) for metric in METRICS],
        held_out=scores(real, _seen(sides.held_out, apart, look, "held out", screen)) if sides.held_out else (),
        classes=classes(pair, closest, names),
        kernels=kernels(real, ours, names, made.class_names),
        worst=order[:SHOWN],
        best=order[::-1][:SHOWN],
    )


def by_density(pair: Pair, closest: Tensor) -> list[int]:
    """The positions of generated images, those first where real ones are rarest; [] where a side is too small.

    Of images with equal density, the one that is further from its `closest` real image (M,) comes first.
    """
    if min(len(pair.x), len(pair.y)) < FEW:
        return []
    apart = (pair.x[closest] - pair.y).norm(dim=1)
    order = np.lexsort((-apart.numpy(), pair.near.density.numpy()))
    positions: list[int] = pair.made.rows.index[torch.from_numpy(order)].tolist()
    return positions


def classes(pair: Pair, closest: Tensor, names: Sequence[str]) -> list[ClassRow]:
    """For each class of the real images, how many generated ones are closest to it, and how much of it they cover."""
    labels = pair.real.rows.labels
    if labels is None or min(len(pair.x), len(pair.y)) < FEW:
        return []
    theirs = labels[closest]  # (M,)
    rows = []
    for number, name in enumerate(names):
        mine = labels == number  # (N,)
        if mine.any():
            share, real_share = (float((part == number).double().mean()) for part in (theirs, labels))
            rows.append(ClassRow(name, share, real_share, float(pair.near.coverage[mine].mean())))
    return rows


def kernels(real: Summary, made: Summary, names: Sequence[str], own: Sequence[str]) -> dict[str, Score]:
    """The kernel distance within each class that both sides name, where the generated images have labels too."""
    found = {}
    for name in names:
        if name in own:
            pair = _only(real, names.index(name)), _only(made, own.index(name))
            if min(len(side.rows.index) for side in pair) > 1:
                found[name] = scores(*pair, keys=("kid",))[0]
    return found


def _seen(source: Source, rows: Sequence[int], look: Extractor, what: str, screen: Screen) -> Summary:
    with screen.progress(f"{look.name}: {what}", len(rows), keep=False) as line:
        return summarise(read(source, rows), look, progress=line)


def _only(whole: Summary, label: int) -> Summary:
    """The kept rows of one class as a summary of their own."""
    assert whole.rows.labels is not None, "only labelled images have class names"
    rows: Rows = whole.rows.take(torch.nonzero(whole.rows.labels == label)[:, 0])
    return Summary(whole.extractor, Moments.of(rows.features), rows, whole.most)
