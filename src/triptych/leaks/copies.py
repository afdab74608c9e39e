"""How many of the generated images are copies, with an exact interval, and when to expect them."""

from __future__ import annotations

from typing import NamedTuple, Self

from triptych.metrics.estimate import exact_interval

PER = 10_000
FEW = 1_000  # training images below which a model is likely to learn some by heart
MANY = 500  # passes over the training images from which on it is


class Copies(NamedTuple):
    """Flagged images among those looked at, and the 95% interval of the rate for each 10,000.

    The interval is exact and two-sided (Clopper and Pearson 1934): none of 10,000 gives 0 to 3.7.
    The one-sided bound at the same confidence, 3.0 there, is the "rule of three".
    """

    flagged: int
    of: int
    low: float
    high: float

    @classmethod
    def of_counts(cls, flagged: int, of: int) -> Self:
        """The interval of a count; `of` is at least 1."""
        low, high = exact_interval(flagged, of)
        return cls(flagged, of, low * PER, high * PER)

    @property
    def per_10_000(self) -> float:
        return self.flagged * PER / self.of


def too_few(images: int, passes: float) -> str | None:
    """A sentence to say before training, where a model is likely to learn images by heart; else None."""
    if images < FEW:
        why = f"{images:,} training images are few"
    elif passes > MANY:
        why = f"{passes:,.0f} passes over {images:,} training images are many"
    else:
        return None
    return f"{why}: the model may learn some of them by heart and give them away; 'triptych privacy' looks for copies."
