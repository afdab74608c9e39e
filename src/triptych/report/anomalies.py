"""The page of `anomalies`: the strangest images, where the model is wrong in them, scores, classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from triptych import pixels
from triptych.core import Source
from triptych.errors import ResourceError
from triptych.gallery import write_csv
from triptych.insight.anomalies import Anomalies, Limit, Strangeness
from triptych.leaks.threshold import CONFIDENCE, enough
from triptych.metrics.estimate import Estimate
from triptych.report.curves import signed
from triptych.report.drawing import MARKS, Chart, Series, drawn
from triptych.report.entries import plain
from triptych.report.html import data_uri, render
from triptych.report.pictures import small

LISTED = 200  # flagged images in the table; the others are in the file
BINS = 40
SMOOTH = 48  # images with a side from here on are scaled smoothly, smaller ones keep their pixels square
RAMP = ((0.0, 0.0, 0.05), (0.35, 0.1, 0.45), (0.85, 0.25, 0.3), (1.0, 0.65, 0.15), (1.0, 1.0, 0.8))  # dark to light


class Subject(NamedTuple):
    """What was looked at, and against what."""

    name: str  # of the run
    given: str
    normal: str
    known: str  # what pixel distances are measured to
    notes: Sequence[str] = ()


class Worst(NamedTuple):
    """The strangest images, strangest first, with what the model makes of them."""

    rows: list[int]
    images: Tensor  # (K, C, H, W) uint8
    again: Tensor | None = None  # (K, C, H, W) uint8; None: the model does not encode
    error: Tensor | None = None  # (K, C, H, W) in levels


def write_anomalies(found: Anomalies, way: Strangeness, subject: Subject, source: Source, worst: Worst,
                    folder: Path) -> dict[str, Any]:  # fmt: skip
    """Write index.html and anomalies.csv into a folder, with all images in the CSV; returns the findings as JSON.

    Raises a `ResourceError` where that cannot be written.
    """
    date = datetime.now().astimezone()
    try:
        (folder / "index.html").write_text(page(found, way, subject, source, worst, date), encoding="utf-8")
        write_csv(folder / "anomalies.csv", *table(found, source))
    except OSError as error:
        raise ResourceError(f"{folder} cannot be written to ({error}); give another -o.") from error
    return facts(found, way, subject, source, worst)


def facts(found: Anomalies, way: Strangeness, subject: Subject, source: Source, worst: Worst) -> dict[str, Any]:
    """The findings as plain values."""
    said: dict[str, Any] = plain({
        **subject._asdict(), "by": way.by, "unit": way.unit,
        "flagged": int(found.flagged.sum()), "of": len(found.scores),
        "trained_on": int(found.trained_on.sum()), "limit": found.limit, "classes": found.classes,
        "worst": [{"name": source.names[row], "score": float(found.scores[row])} for row in worst.rows],
    })  # fmt: skip
    return said


def table(found: Anomalies, source: Source) -> tuple[list[str], list[list[object]]]:
    """All images, strangest first, as columns and rows."""
    labels = getattr(source, "labels", None)
    columns = ["rank", "name", *([] if labels is None else ["class"]), "score", "flagged", "trained_on"]
    rows = []
    for place, row in enumerate(found.order(), 1):
        its = [] if labels is None else [source.class_names[labels[row]]]
        marks = [int(found.flagged[row]), int(found.trained_on[row])]
        rows.append([place, source.names[row], *its, float(found.scores[row]), *marks])
    return columns, rows


def page(found: Anomalies, way: Strangeness, subject: Subject, source: Source, worst: Worst, date: datetime) -> str:
    """The whole page; every name in it is escaped by the template engine."""
    channels, height, width = source.image_shape
    maps, brightest = ([], 0.0) if worst.error is None else heat(worst.error)
    return render(
        "anomalies.html",
        subject=subject,
        verdict=verdict(found),
        promise=promise(found.limit),
        date=date,
        way=way,
        found=found,
        scored=[signed(float(found.scores[row])) for row in worst.rows],
        worst=worst,
        names=[source.names[row] for row in worst.rows],
        pictures=[data_uri(image) for image in small(worst.images)],
        again=[] if worst.again is None else [data_uri(image) for image in small(worst.again)],
        maps=[data_uri(one) for one in small(torch.stack(maps))] if maps else [],
        brightest=signed(brightest),
        charts=histogram(found, way),
        marks=MARKS,
        listed=listed(found, source),
        flagged=int(found.flagged.sum()),
        classes=[(row, _words(row.auc), _words(row.pixels)) for row in found.classes],
        square_pixels=max(height, width) < SMOOTH,
        alpha=pixels.has_alpha(channels),
    )


def verdict(found: Anomalies) -> str:
    """The finding in a sentence."""
    count, of = int(found.flagged.sum()), len(found.flagged)
    return f"{count:,} of {of:,} images ({count / of:.1%}) are stranger than the threshold."


def promise(limit: Limit) -> str:
    """What the threshold says of normal images, exactly."""
    place = "the largest" if limit.rank == 1 else f"number {limit.rank} from the top"
    needed = enough(limit.share)
    cure = f"; with {needed:,} of them that would be {CONFIDENCE:.0%}" if limit.normal < needed else ""
    return (
        f"The threshold is {place} of {limit.normal:,} normal scores: it flags at most {100 * limit.share:g}% of new "
        f"normal images, with {100 * limit.confidence:.4g}% confidence{cure}."
    )


def listed(found: Anomalies, source: Source) -> list[tuple[int, str, str, str]]:
    """The first flagged images: place, name, class, score."""
    labels = getattr(source, "labels", None)
    rows = [row for row in found.order() if found.flagged[row]][:LISTED]
    its = [""] * len(rows) if labels is None else [source.class_names[labels[row]] for row in rows]
    return [(place, source.names[row], name, signed(float(found.scores[row])))
            for place, (row, name) in enumerate(zip(rows, its, strict=True), 1)]  # fmt: skip


def histogram(found: Anomalies, way: Strangeness) -> list[Chart]:
    """Shares of the normal and of the given images in each of BINS bins, with the threshold upright."""
    both = torch.cat([found.normal, found.scores])
    low, high = float(both.min()), float(both.max())
    high = high if high > low else low + 1
    sides = [_steps(name, style, scores, low, high) for style, (name, scores) in
             enumerate((("normal", found.normal), ("given", found.scores)))]  # fmt: skip
    top = max(share for side in sides for _, share in side.points)
    upright = Series("threshold", 2, [(found.limit.score, 0.0), (found.limit.score, top)])
    return drawn([*sides, upright], (f"score, {way.unit}", "share of the images, %"), log=False, start=None)


def heat(error: Tensor) -> tuple[list[Tensor], float]:
    """Errors (K, C, H, W) as uint8 RGB maps on one scale, and the level that is lightest.

    What is shown of a pixel is the mean over its channels of the error's size.
    """
    size = error.abs().mean(1)  # (K, H, W)
    top = float(size.max())
    places = (size / max(top, 1e-9) * (len(RAMP) - 1)).clamp(0, len(RAMP) - 1)
    below = places.floor().long().clamp(max=len(RAMP) - 2)
    colours, share = torch.tensor(RAMP), (places - below)[..., None]
    mixed = colours[below] * (1 - share) + colours[below + 1] * share  # (K, H, W, 3)
    return list((255 * mixed).round().to(torch.uint8).permute(0, 3, 1, 2)), top


def _steps(name: str, style: int, scores: Tensor, low: float, high: float) -> Series:
    """A histogram as the outline of its bars."""
    counts = torch.histc(scores, BINS, low, high) / len(scores) * 100
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64).tolist()
    points = [(edges[0], 0.0)]
    for (left, right), share in zip(pairwise(edges), counts.tolist(), strict=True):
        points += [(left, share), (right, share)]
    return Series(name, style, [*points, (edges[-1], 0.0)])


def _words(value: Estimate) -> str:
    if not math.isfinite(value.value):
        return "\N{EN DASH}"
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
