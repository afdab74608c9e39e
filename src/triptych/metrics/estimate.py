"""A number with its uncertainty, or the reason why there is none."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """A number with a 95% bootstrap interval."""

    value: float
    low: float
    high: float


class Score(NamedTuple):
    """One metric of one set of generated images."""

    key: str  # "frechet"
    label: str  # "FD-bundled": the extractor is part of the name
    better: str  # "lower" or "higher"
    estimate: Estimate | None  # None: refused
    note: str = ""  # why it was refused, or what to know of it, such as its bias at this N
