"""What went wrong in a training, read from its log and its samples: each a sentence, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from triptych.metrics.estimate import Score
from triptych.scoring import NAME
from triptych.words import short

RELAPSE = 1.5  # the last score against the best one
BY_HEART = 1.2  # the last held-out loss against its lowest, both above zero
NARROW = 0.1  # the share of real images that the samples come near to
JUMP = 20.0  # a loss against the median of its log


def alarms(log: Sequence[Mapping[str, float]], scores: Sequence[Score]) -> list[str]:
    """Sentences on a run that got worse again, learnt by heart, jumped, or makes few kinds of images."""
    return [*_relapse(log), *_by_heart(log), *_jumps(log), *_narrow(scores)]


def _columns(log: Sequence[Mapping[str, float]], end: str) -> Iterator[tuple[str, list[float]]]:
    for name in dict.fromkeys(key for line in log for key in line if key.endswith(end)):
        yield name.removesuffix(end), [line[name] for line in log if name in line]


def _relapse(log: Sequence[Mapping[str, float]]) -> Iterator[str]:
    for _, values in _columns(log, NAME):
        if len(values) > 2 and values[-1] > RELAPSE * min(values):
            yield f"it got worse again: FD-bundled fell to {short(min(values))} and ended at {short(values[-1])}"


def _by_heart(log: Sequence[Mapping[str, float]]) -> Iterator[str]:
    for turn, values in _columns(log, "/held_out"):
        if len(values) > 4 and 0 < BY_HEART * min(values) < values[-1]:
            yield f"the {turn}'s loss on held-out images rose from {short(min(values))} to {short(values[-1])}"


def _jumps(log: Sequence[Mapping[str, float]]) -> Iterator[str]:
    for turn, values in _columns(log, "/loss"):
        settled = sorted(abs(value) for value in values[len(values) // 10 :])
        if len(settled) > 10 and settled[-1] > JUMP * max(settled[len(settled) // 2], 1e-6):
            yield f"the {turn}'s loss jumped to {short(settled[-1])}"


def _narrow(scores: Sequence[Score]) -> Iterator[str]:
    for score in scores:
        if score.key == "coverage" and score.estimate and score.estimate.value < NARROW:
            yield f"its samples come near to only {100 * score.estimate.value:.0f}% of the real images"
