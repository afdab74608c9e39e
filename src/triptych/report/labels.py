"""Words at points of a chart, placed so that none lies on another.

Places are taken greedily: each label gets the first of its candidates that is free of labels placed
before and of what is drawn. x to the right, y downwards, in the units of the chart.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

SIZE = 12.0  # of the letters
GAP = 8.0  # from a point to its label
LONGEST = 22  # letters; longer ones end in an ellipsis


class Box(NamedTuple):
    """A rectangle: its left, top, right and bottom edges."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def within(self, other: Box) -> bool:
        sides = self.left >= other.left and self.right <= other.right
        return sides and self.top >= other.top and self.bottom <= other.bottom


class Label(NamedTuple):
    """Words with the left end of their line, and the point that they speak of."""

    text: str
    x: float
    y: float  # of the base line
    point: tuple[float, float]

    @property
    def box(self) -> Box:
        return Box(self.x, self.y - 0.8 * SIZE, self.x + width(self.text), self.y + 0.25 * SIZE)

    @property
    def moved(self) -> bool:
        """Whether it stands too far from its point to be read without a line."""
        return abs(self.y - 0.35 * SIZE - self.point[1]) > SIZE and self.x > self.point[0]


def width(text: str) -> float:
    """How wide a text is drawn at most, for any common sans-serif face."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return SIZE * (0.6 * (len(text) - wide) + wide)


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def beside(text: str, point: tuple[float, float], names: Sequence[Box], drawn: Sequence[Box], frame: Box) -> Label:
    """A label that must stand: beside its point, moved up or down until it is free.

    Where there is no such place, it keeps off the other names at least.
    """
    places = list(_sideways(shortened(text), point))
    inside = [label for label in places if label.box.within(frame)] or places
    apart = [label for label in inside if not _met(label, names)] or inside
    return next((label for label in apart if not _met(label, drawn)), apart[0])


def around(text: str, point: tuple[float, float], taken: Sequence[Box], frame: Box) -> Label | None:
    """A label that may be left out: near its point where there is room, else None."""
    free = (label for label in _near(shortened(text), point) if label.box.within(frame))
    return next((label for label in free if not _met(label, taken)), None)


def dots(points: Iterable[tuple[float, float]], radius: float) -> list[Box]:
    """The places that marks take."""
    return [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]


def along(line: Sequence[tuple[float, float]], step: float = 6.0) -> list[Box]:
    """The places that a line takes."""
    found = []
    for (x, y), (u, v) in pairwise(line):
        parts = max(1, round(max(abs(u - x), abs(v - y)) / step))
        found += [(x + (u - x) * k / parts, y + (v - y) * k / parts) for k in range(parts + 1)]
    return dots(found, 1.5)


def _met(label: Label, taken: Sequence[Box]) -> bool:
    return any(label.box.meets(box) for box in taken)


def _sideways(text: str, point: tuple[float, float]) -> Iterator[Label]:
    x, y = point[0] + GAP + 2, point[1] + 0.35 * SIZE
    for step in range(40):
        for way in (-1, 1):
            yield Label(text, x, y + way * step * SIZE / 3, point)


def _near(text: str, point: tuple[float, float]) -> Iterator[Label]:
    (x, y), wide = point, width(text)
    for far in (GAP, 1.75 * GAP, 3 * GAP):
        for dx in (-wide / 2, 0.0, -wide):  # above and below, centred and to either side
            yield Label(text, x + dx, y - far, point)
            yield Label(text, x + dx, y + far + 0.8 * SIZE, point)
        yield Label(text, x + far, y + 0.35 * SIZE, point)
        yield Label(text, x - far - wide, y + 0.35 * SIZE, point)
