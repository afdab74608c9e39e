"""Thresholds that real images rarely cross, with the confidence said.

A score is small where an image is near a training image. The threshold is the k-th smallest score
of n real images that the model has not seen. Whatever the distribution of scores, the share of real
images below it follows Beta(k, n + 1 - k); k is the largest for which that share is at most `rate`
with 95% confidence (Wilks 1941, distribution-free tolerance limits). The threshold lies a little
below the k-th score, for variants of one picture come in clusters of almost equal scores.
"""

from __future__ import annotations

import math
from functools import cache

from torch import Tensor

RATE = 0.01  # the false alarms allowed, of all tests together
CONFIDENCE = 0.95
MARGIN = 0.95  # of the k-th smallest score


def confidence_of(k: int, n: int, rate: float) -> float:
    """How sure it is that at most a share `rate` of real images lies below the k-th smallest of n scores."""
    from scipy.stats import binom  # type: ignore[import-untyped]

    return float(binom.sf(k - 1, n, rate))


@cache
def rank(n: int, rate: float, confidence: float = CONFIDENCE) -> int:
    """The largest k whose threshold keeps the promise; 0 where n scores are too few for any.

    >>> rank(298, 0.01), rank(299, 0.01), rank(1000, 0.01)
    (0, 1, 5)
    """
    return next((k for k in range(int(n * rate), 0, -1) if confidence_of(k, n, rate) >= confidence), 0)


def enough(rate: float, confidence: float = CONFIDENCE) -> int:
    """The fewest scores of which `rank` promises anything.

    >>> enough(0.01)
    299
    """
    return math.ceil(math.log(1 - confidence) / math.log1p(-rate))


def threshold(scores: Tensor, rate: float, confidence: float = CONFIDENCE) -> float | None:
    """The score below which at most a share `rate` of real images lies; None where `scores` (n,) are too few."""
    k = rank(len(scores), rate, confidence)
    return MARGIN * float(scores.sort().values[k - 1]) if k else None
