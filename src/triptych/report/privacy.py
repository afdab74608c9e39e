"""The page of `privacy`: copies with their interval, the controls, the nearest pairs, the data sheet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from triptych import pixels
from triptych.errors import ResourceError
from triptych.leaks.audit import Audit, facts
from triptych.leaks.copies import PER
from triptych.leaks.detector import TWIN
from triptych.leaks.planted import DAMAGE
from triptych.leaks.sheet import WARNING, sheet
from triptych.leaks.threshold import RATE
from triptych.report.html import data_uri, render

SMOOTH = 48  # images with a side from here on are scaled smoothly, smaller ones keep their pixels square


class Subject(NamedTuple):
    """What was looked at."""

    name: str
    data: str
    made: str  # how the images came about
    passes: float | None = None  # over the training images; None: not known
    notes: Sequence[str] = ()


class Row(NamedTuple):
    """A count with what it is of."""

    label: str
    found: int
    of: int
    words: str = ""


def write_privacy(found: Audit, subject: Subject, place: Path) -> dict[str, Any]:
    """Write the page, and the same as JSON beside it; returns what the JSON holds.

    Raises a `ResourceError` where that cannot be written.
    """
    date = datetime.now().astimezone()
    said = {**subject._asdict(), "date": date.isoformat(timespec="seconds"), **facts(found),
            "sheet": {line.label: line.value for line in sheet(found, subject.passes)}}  # fmt: skip
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_suffix(".json").write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        place.write_text(page(found, subject, date), encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"{place} cannot be written ({error}); give another -o.") from error
    return said


def rows(found: Audit) -> list[Row]:
    """The findings as counts."""
    copies, controls, twins = found.copies, found.controls, found.duplicates
    per = f"{copies.per_10_000:.1f} per 10,000, 95% interval {copies.low:.1f} to {copies.high:.1f}"
    return [
        Row("generated: copies", copies.flagged, copies.of, per),
        Row("control: planted copies found", controls.planted_found, controls.planted, "should be all"),
        Row("control: held-out images flagged", controls.held_out_flagged, controls.held_out, "1% at most"),
        Row("held out: repeats of training images", controls.aside, controls.looked_at, "not in the control"),
        Row("generated: twins among themselves", found.repeats.repeated, found.repeats.of),
        Row("training: repeats bit for bit", twins.exact, twins.images),
        Row("training: near twins", twins.near, twins.sampled, "of a sample"),
    ]


def page(found: Audit, subject: Subject, date: datetime) -> str:
    """The whole page; every name in it is escaped by the template engine."""
    channels, height, width = found.pairs[0].made.shape
    return render(
        "privacy.html",
        subject=subject,
        verdict=verdict(found),
        date=date,
        rows=rows(found),
        pairs=[(pair, data_uri(pair.made), data_uri(pair.real)) for pair in found.pairs],
        shown=sum(pair.flagged for pair in found.pairs),
        sheet=sheet(found, subject.passes),
        found=found,
        warning=WARNING,
        damage=DAMAGE,
        twin=TWIN,
        square_pixels=max(height, width) < SMOOTH,
        alpha=pixels.has_alpha(channels),
    )


def verdict(found: Audit) -> str:
    """The finding in a sentence, or why there is none."""
    controls, copies = found.controls, found.copies
    flagged = f"{copies.flagged:,} of {copies.of:,} images are flagged as copies"
    missed = controls.planted - controls.planted_found
    if missed:
        return f"{flagged}, and there may be more: the detector missed {missed} of {controls.planted} planted copies."
    if not copies.flagged:
        return f"No copy was found among {copies.of:,} images: up to {copies.high:.1f} of 10,000 may be some."
    if copies.low > PER * RATE:
        return f"{flagged}: more than the {RATE:.0%} that may be false alarms. The nearest pairs show which."
    return f"{flagged}. Up to {RATE:.0%} may be false alarms: judge the nearest pairs by eye."
