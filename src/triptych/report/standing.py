"""How models stand to each other by one score, over all training seeds.

Over seeds a model has the mean of its values and an interval from the lowest to the highest end of
the seeds' 95% intervals: it holds both what the draw of the images and what the seed of the training
does. Two models are told apart where their intervals do not touch and every seed ranks them alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from triptych.metrics.estimate import Estimate, Score
from triptych.report.entries import Entry
from triptych.words import short

MAIN = "frechet"  # the score that decides, where it is there


class Standing(NamedTuple):
    """One model by one score."""

    name: str
    score: Score  # its estimate is there, and is that over all seeds
    seeds: dict[int, float]

    @property
    def estimate(self) -> Estimate:
        assert self.score.estimate is not None
        return self.score.estimate


def over(estimates: Iterable[Estimate]) -> Estimate:
    """The mean, from the lowest low to the highest high."""
    values, lows, highs = zip(*estimates, strict=True)
    return Estimate(sum(values) / len(values), min(lows), max(highs))


def known(score: Score | None) -> Score | None:
    """The score where it has a finite value."""
    return score if score and score.estimate and math.isfinite(score.estimate.value) else None


def scores_of(entry: Entry, key: str) -> dict[int, Score]:
    """Each seed's score of that key, refused ones too."""
    return {trial.seed: score for trial in entry.trials for score in trial.scores if score.key == key}


def final(entry: Entry, key: str) -> Score | None:
    """A model's score over its seeds; refused where every seed's is; None where there is none."""
    scores = list(scores_of(entry, key).values())
    good = [score for score in scores if known(score)]
    if not good:
        return scores[0]._replace(estimate=None) if scores else None
    return good[0]._replace(estimate=over(score.estimate for score in good if score.estimate))


def keys(results: Sequence[Entry], more: Sequence[Score] = ()) -> list[str]:
    """The keys of all scores, in the order in which they were given."""
    given = [score for entry in results for trial in entry.trials for score in trial.scores]
    return list(dict.fromkeys(score.key for score in [*given, *more]))


def main_key(results: Sequence[Entry]) -> str | None:
    """The score that decides: the Fréchet distance, else the first that any model has."""
    there = [key for key in keys(results) if any(known(final(entry, key)) for entry in results)]
    return MAIN if MAIN in there else next(iter(there), None)


def standing(entry: Entry, key: str) -> Standing | None:
    """One model by that score; None where it has no value."""
    score = known(final(entry, key))
    values = {seed: s.estimate.value for seed, s in scores_of(entry, key).items() if known(s) and s.estimate}
    return Standing(entry.name, score, values) if score else None


def ranked(results: Sequence[Entry], key: str | None) -> list[Standing]:
    """The models that have the score, best first."""
    found = [place for entry in results if key and (place := standing(entry, key))]
    return sorted(found, key=lambda place: (-1 if better_is_higher(place.score) else 1) * place.estimate.value)


def better_is_higher(score: Score) -> bool:
    return score.better == "higher"


def flips(one: Standing, other: Standing) -> bool:
    """Whether the seeds that both have disagree on which is better."""
    shared = one.seeds.keys() & other.seeds.keys()
    return len({one.seeds[seed] < other.seeds[seed] for seed in shared}) > 1


def overlap(one: Standing, other: Standing) -> bool:
    return one.estimate.low <= other.estimate.high and other.estimate.low <= one.estimate.high


def told_apart(one: Standing, other: Standing) -> bool:
    """Whether the data say which of the two is better."""
    return not overlap(one, other) and not flips(one, other)


def spoken(estimate: Estimate, aside: str = "") -> str:
    """A value with its interval: 12.3 (11.8–12.9)."""
    return f"{short(estimate.value)} ({between(estimate)}{aside})"


def between(estimate: Estimate, words: Callable[[float], str] = short) -> str:
    """Its interval: 11.8–12.9, or with a minus sign "−0.2 to 0.4"."""
    dash = " to " if estimate.low < 0 else "\N{EN DASH}"
    return f"{words(estimate.low)}{dash}{words(estimate.high)}".replace("-", "\N{MINUS SIGN}")
