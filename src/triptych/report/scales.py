"""Axes of charts: from values to places, with round numbers along them.

Places are shares of the axis, 0 at its low end and 1 at its high end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from triptych.report import curves

LOG_FROM = 4.0  # values that span so many times are shown on a logarithmic axis
ROOM = 0.05  # of the axis is left free at each end
MOST = 6  # ticks of a logarithmic axis
PARTS = 5  # of any other, about
STEPS = ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))  # within a power of ten
_LARGE = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


class Axis(NamedTuple):
    """A range of numbers along a line."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a number stands; below 0 and above 1 it leaves the axis."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """(place, label) of a few round numbers."""
        values = _powers(self.low, self.high) if self.log else []
        if len(values) < 2:
            return [(self.at(value), label) for value, label in curves.ticks(self.low, self.high, PARTS)]
        return [(self.at(value), label(value)) for value in values]


def axis(values: Iterable[float], log: bool | None = None, start: float | None = None) -> Axis:
    """The axis of these numbers, with some room; logarithmic if told, or where they span much.

    `start` is where it begins instead, as a bar's axis begins at zero.
    """
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    log = low > 0 and (high / low >= LOG_FROM if log is None else log)
    if log:
        room = max((high / low) ** ROOM, 1.02)
        return Axis(low / room, high * room, True)
    room = ROOM * (high - low) or ROOM * abs(high) or ROOM
    return Axis(low - room if start is None else start, high + room)


def label(value: float) -> str:
    """A round number as a tick says it: 0.05, 20, 5k."""
    scale, suffix = next(((scale, suffix) for scale, suffix in _LARGE if value >= scale), (1.0, ""))
    return f"{value / scale:g}{suffix}"


def _powers(low: float, high: float) -> list[float]:
    """The finest steps that give at most MOST numbers; powers of ten, or every second one, if need be."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in STEPS:
        found = _between([step * 10.0**power for power in range(first, last + 1) for step in steps], low, high)
        if len(found) <= MOST:
            return found
    return found[:: math.ceil(len(found) / MOST)]


def _between(values: list[float], low: float, high: float) -> list[float]:
    return [value for value in values if low <= value <= high]
