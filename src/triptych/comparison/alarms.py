"""What went wrong in a training, read from its log and its samples: each a sentence, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from triptych.metrics.estimate import Score
from triptych.training.monitors import signs

NARROW = 0.1  # the share of real images that the samples come near to


def alarms(log: Sequence[Mapping[str, float]], scores: Sequence[Score]) -> list[str]:
    """Sentences on a run whose monitors would speak at its end, or that makes few kinds of images."""
    return [*(sign.text for sign in signs(log)), *_narrow(scores)]


def _narrow(scores: Sequence[Score]) -> Iterator[str]:
    for score in scores:
        if score.key == "coverage" and score.estimate and score.estimate.value < NARROW:
            yield f"its samples come near to only {100 * score.estimate.value:.0f}% of the real images"
