"""A number with its uncertainty, or the reason why there is none."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """A number with a 95% interval: by bootstrap, but for shares that say they are exact."""

    value: float
    low: float
    high: float


def share(found: int, of: int) -> Estimate:
    """`found` of `of` >= 1 as a share in [0, 1], with its exact interval."""
    return Estimate(found / of, *exact_interval(found, of))


def exact_interval(found: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """The share of a binomial count, from `low` to `high` in [0, 1] (Clopper and Pearson 1934)."""
    from scipy.stats import beta  # type: ignore[import-untyped]

    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, found, of - found + 1)) if found else 0.0
    high = float(beta.ppf(1 - tail, found + 1, of - found)) if found < of else 1.0
    return low, high


class Score(NamedTuple):
    """One metric of one set of generated images."""

    key: str  # "frechet"
    label: str  # "FD-bundled": the extractor is part of the name
    better: str  # "lower" or "higher"
    estimate: Estimate | None  # None: refused
    note: str = ""  # why it was refused, or what to know of it, such as its bias at this N
