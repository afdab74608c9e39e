"""Charts with one line for each model, as plain geometry that the page's template draws as SVG.

x to the right, y downwards, the frame from (0, 0) to (width, height), room for names to the right of
it. Each model is known by its marker, its dashes and its name at the line, so colour is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from triptych.report import labels
from triptych.report.curves import signed
from triptych.report.labels import Box, Label
from triptych.report.scales import Axis, axis
from triptych.words import short

MARKS = (  # outlines of markers: disc, square, triangle, diamond, cross, triangle on its tip
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-4.8L4.6 3.400H-4.6z",
    "M0-5L5 0 0 5-5 0z",
    "M-1.700-4.700h3.4v3h3v3.4h-3v3h-3.4v-3h-3v-3.4h3z",
    "M0 4.8L4.6-3.400H-4.6z",
)
STYLES = len(MARKS)  # with more models they repeat
RADIUS = 4.0
Place = tuple[float, float]


class Shape(NamedTuple):
    """The size of a drawing."""

    name: str  # of its class in the page
    width: float  # of the frame
    height: float
    left: float = 46.0  # beside the frame
    top: float = 14.0
    bottom: float = 42.0


SHAPES = (Shape("broad", 640, 330), Shape("slim", 250, 270, left=38.0))


class Series(NamedTuple):
    """One model in a chart, in its own numbers."""

    name: str
    style: int
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] = ()  # low and high at each point
    words: Sequence[str] = ()  # at each point
    whiskers: bool = False  # the band as a line at each point


class Trace(NamedTuple):
    """The same as drawn."""

    style: int
    line: list[Place]
    marked: list[Place]  # those of its points that have a marker
    band: list[Place]  # a polygon around it
    whiskers: list[tuple[Place, Place]]  # from high to low


class Chart(NamedTuple):
    """All that the template needs."""

    shape: Shape
    room: float  # to the right of the frame, for names
    x_title: str
    y_title: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    traces: list[Trace]
    names: list[Label]
    words: list[Label]
    alt: str


def drawn(series: Sequence[Series], titles: tuple[str, str], log: bool, start: float | None = 0) -> list[Chart]:
    """The chart in each shape; none where there is nothing to draw. `log` is of the axis across.

    An axis that is not logarithmic begins at `start`; None: where the numbers begin.
    """
    if not series:
        return []
    across = axis((x for one in series for x, _ in one.points), log, start=None if log else start)
    up = axis(y for one in series for y in [*(y for _, y in one.points), *(y for pair in one.band for y in pair)])
    return [_chart(series, across, up, shape, titles) for shape in SHAPES]


def _chart(series: Sequence[Series], across: Axis, up: Axis, shape: Shape, titles: tuple[str, str]) -> Chart:
    def at(x: float, y: float) -> Place:
        return round(shape.width * across.at(x), 1), round(shape.height * (1 - up.at(y)), 1)

    room = round(max(labels.width(labels.shortened(one.name)) for one in series) + labels.GAP + 6, 1)
    traces = [_trace(one, at) for one in series]
    names, words = _labels(series, traces, Box(2, -4, shape.width + room, shape.height - 2))
    said = "; ".join(f"{one.name} {_said(one)}" for one in series)
    return Chart(
        shape,
        room,
        *titles,
        x_ticks=[(round(shape.width * place, 1), text) for place, text in across.ticks()],
        y_ticks=[(round(shape.height * (1 - place), 1), text) for place, text in up.ticks()],
        traces=traces,
        names=names,
        words=words,
        alt=f"{titles[1]}, against {titles[0]}: {said}.",
    )


def _trace(one: Series, at: Callable[[float, float], Place]) -> Trace:
    line = [at(x, y) for x, y in one.points]
    low, high = ([at(x, pair[end]) for (x, _), pair in zip(one.points, one.band, strict=False)] for end in (0, 1))
    every = 1 if one.whiskers else max(1, len(line) // 5)
    whiskers = list(zip(high, low, strict=True)) if one.whiskers else []
    return Trace(one.style, line, line[::-1][::every], [] if one.whiskers else low + high[::-1], whiskers)


def _labels(series: Sequence[Series], traces: Sequence[Trace], frame: Box) -> tuple[list[Label], list[Label]]:
    """Each model's name at its last point, then words at points where there is room."""
    taken = [box for trace in traces for box in labels.dots(trace.marked, RADIUS + 1)]
    taken += [box for trace in traces for whisker in trace.whiskers for box in labels.along(whisker)]
    names: list[Label] = []
    for one, trace in sorted(zip(series, traces, strict=True), key=lambda pair: pair[1].line[-1][1]):
        names.append(labels.beside(one.name, trace.line[-1], [name.box for name in names], taken, frame))
    taken += [name.box for name in names]
    taken += [box for trace in traces for box in labels.along(trace.line)]
    words: list[Label] = []
    pairs = zip(series, traces, strict=True)
    for text, point in [pair for one, trace in pairs for pair in zip(one.words, trace.line, strict=False)]:
        found = labels.around(text, point, taken, frame) if text else None
        if found:
            words.append(found)
            taken.append(found.box)
    return names, words


def _said(one: Series) -> str:
    """A series in a sentence."""
    (x, y), (u, v) = one.points[0], one.points[-1]
    if len(one.points) == 1:
        return f"{signed(y)} at {short(x)}"
    return f"from {signed(y)} at {short(x)} to {signed(v)} at {short(u)}"
