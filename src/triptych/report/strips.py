"""Dots along a line: each seed's score, and each class's share; the page draws them with its own styles.

Places are percent of the strip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from triptych.report.curves import signed
from triptych.report.drawing import STYLES
from triptych.report.entries import ClassRow, Entry
from triptych.report.scales import Axis, axis
from triptych.report.standing import Standing, between, standing
from triptych.report.verdict import lost
from triptych.words import join

CLASSES = 12  # as many are shown; with more, those furthest from their real share


class Strip(NamedTuple):
    """One model's seeds along the axis of the main score."""

    name: str
    style: int
    dots: list[float]
    low: float  # of the interval
    high: float
    words: str
    trouble: list[str]  # failures and alarms, each in words
    alt: str


class Stability(NamedTuple):
    """All models on one axis."""

    ticks: list[tuple[float, str]]
    strips: list[Strip]


class Mark(NamedTuple):
    """One class of one model."""

    share: float  # place of its share
    real: float  # place of the real share
    coverage: str
    missing: bool
    alt: str


class Classes(NamedTuple):
    """Rows of classes, columns of models."""

    models: list[tuple[str, int]]  # with their styles
    rows: list[tuple[str, str, list[Mark | None]]]  # the class, its real share, each model's mark
    of: int  # classes in all
    most: str  # the share at the right end


def stability(results: Sequence[Entry], key: str | None) -> Stability | None:
    """Each seed's score, and what went wrong; None where no model has trials."""
    if not any(entry.trials for entry in results):
        return None
    places = [standing(entry, key) if key else None for entry in results]
    ends = [value for place in places if place for value in (*place.seeds.values(), *place.estimate[1:])]
    along = axis(ends)
    ticks = [(percent(at), label) for at, label in along.ticks()] if ends else []
    pairs = enumerate(zip(results, places, strict=True))
    return Stability(ticks, [_strip(entry, place, along, index) for index, (entry, place) in pairs])


def _strip(entry: Entry, place: Standing | None, along: Axis, index: int) -> Strip:
    trouble = [f"seed {t.seed} failed: {t.failure}" for t in entry.trials if t.failure]
    trouble += [f"seed {t.seed}: {alarm}" for t in entry.trials for alarm in t.alarms]
    count, failed = len(entry.trials), sum(bool(t.failure) for t in entry.trials)
    words = f"{failed} of {count} seeds failed" if failed else f"{count} seed{'s' * (count != 1)}"
    if place is None:
        return Strip(entry.name, index % STYLES, [], 0, 0, words, trouble, f"{entry.name}: {words}")
    dots = [percent(along.at(value)) for value in place.seeds.values()]
    low, high = (percent(along.at(end)) for end in place.estimate[1:])
    values = join([signed(value) for value in place.seeds.values()])
    alt = f"{entry.name}: {values}, interval {between(place.estimate)}; {words}"
    return Strip(entry.name, index % STYLES, dots, low, high, words, trouble, alt)


def classes(results: Sequence[Entry]) -> Classes | None:
    """Shares and coverage by class; None where no model has them."""
    shown = [(index % STYLES, entry) for index, entry in enumerate(results) if entry.classes]
    if not shown:
        return None
    by_name = [{row.name: row for row in entry.classes} for _, entry in shown]
    names = dict.fromkeys(name for rows in by_name for name in rows)
    off = {row.name: abs(row.share - row.real_share) for _, entry in shown for row in entry.classes}
    chosen = set(sorted(names, key=lambda name: -off[name])[:CLASSES])
    most = max(max(row.share, row.real_share) for rows in by_name for row in rows.values() if row.name in chosen)
    along = Axis(0, most or 1)
    rows = []
    for name in (name for name in names if name in chosen):
        marks = [_mark(of.get(name), entry, along) for of, (_, entry) in zip(by_name, shown, strict=True)]
        real = next(of[name].real_share for of in by_name if name in of)
        rows.append((name, f"{100 * real:.1f}%", marks))
    return Classes([(entry.name, style) for style, entry in shown], rows, len(names), f"{100 * along.high:.0f}%")


def _mark(row: ClassRow | None, entry: Entry, along: Axis) -> Mark | None:
    if row is None:
        return None
    missing, coverage = row.name in lost(entry), f"{100 * row.coverage:.0f}%"
    alt = f"{100 * row.share:.1f}% of {entry.name}’s images, {100 * row.real_share:.1f}% of the real; covers {coverage}"
    return Mark(percent(along.at(row.share)), percent(along.at(row.real_share)), coverage, missing, alt)


def percent(place: float) -> float:
    return round(100 * place, 2)
