"""The verdict in three sentences made from the numbers: quality, speed, and what else there is to know.

Which model is best is said only where `standing.told_apart` says so; else the sentence names those
that cannot be told apart, and why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from triptych.report.entries import Entry
from triptych.report.standing import (
    Standing,
    better_is_higher,
    final,
    flips,
    known,
    main_key,
    ranked,
    spoken,
    told_apart,
)  # fmt: skip
from triptych.words import join, short

RARE = 0.1  # a class with less than this part of its real share is missing
FALSE_ALARMS = 100  # of 10,000 real images that were held out, so many pass for copies
LEARNT = 0.01  # a model whose recall is below has not learnt the images yet
LISTED = 3  # classes by name; more are counted


class Verdict(NamedTuple):
    """What a comparison comes to."""

    score: str | None  # the label of the score that decides
    best: str | None  # the best model; None where that cannot be told
    sentences: tuple[str, str, str]


def verdict(results: Sequence[Entry]) -> Verdict:
    """Quality, speed, and warnings or abilities."""
    order = ranked(results, main_key(results))
    rivals = [one for one in order[1:] if not told_apart(order[0], one)]
    label = order[0].score.label if order else None
    early = label is not None and _unlearnt(results)
    best = order[0].name if order and not rivals and not early else None
    quality = _early(label) if early else _tied([order[0], *rivals]) if rivals else _order(order)
    price = _speed(results, order if best else [])
    return Verdict(label, best, (quality, price, _warnings(results) or _abilities(results)))


def _unlearnt(results: Sequence[Entry]) -> bool:
    """Whether no model makes images like the real ones, as far as recall knows."""
    recalls = [score.estimate for entry in results if (score := known(final(entry, "recall"))) and score.estimate]
    return bool(recalls) and all(recall.high < LEARNT for recall in recalls)


def _early(label: str | None) -> str:
    """The first sentence where there is nothing to rank."""
    why = f"every recall is below {LEARNT:.0%}, so that {label} ranks noise"
    return f"No model has learnt these images yet: {why}; train longer."


def _order(order: Sequence[Standing]) -> str:
    """The first sentence where the best is known."""
    if not order:
        return "Quality is not scored here, so judge the pictures by eye."
    first = f"{order[0].score.label} {spoken(order[0].estimate, _over(order[0]))}"
    if len(order) == 1:
        return f"{order[0].name} scores {first}, and no other model has a score to set beside it."
    gap, way = abs(order[1].estimate.value - order[0].estimate.value), _way(order[0])
    text = f"{order[0].name} is best: {first}, {short(gap)} {way} than {order[1].name} at {spoken(order[1].estimate)}"
    unclear = [(a, b) for a, b in pairwise(order[1:]) if not told_apart(a, b)]
    names = dict.fromkeys(one.name for pair in unclear for one in pair)
    return text + (f"; the order of {join(list(names))} cannot be told." if unclear else ".")


def _tied(rivals: Sequence[Standing]) -> str:
    """The first sentence where it is not."""
    names, leader = [one.name for one in rivals], rivals[0]
    values = join([f"{one.name} {spoken(one.estimate)}" for one in rivals])
    turned = any(flips(leader, one) for one in rivals[1:])
    many = _over(leader) if len(leader.seeds) > 1 else ""
    why = "the seeds rank them differently" if turned else f"the intervals{many} overlap"
    return f"These runs cannot tell whether {join(names, 'or')} is best by {leader.score.label}: {values}; {why}."


def _way(place: Standing) -> str:
    return "higher" if better_is_higher(place.score) else "lower"


def _over(place: Standing) -> str:
    count = len(place.seeds)
    return f" over {count} seeds" if count > 1 else ", one seed"


def _speed(results: Sequence[Entry], order: Sequence[Standing]) -> str:
    """The fastest sampler, and what the better score costs; the order is empty where the best is unknown."""
    timed = sorted((entry.milliseconds, entry.name) for entry in results if entry.milliseconds)
    if not timed:
        return "Sampling was not timed."
    (fast, name), (slow, last) = timed[0], timed[-1]
    if len(timed) == 1:
        return f"{name} samples in {short(fast)} ms an image."
    best = order[0].name if order else None
    if name == best:
        after = f"{timed[1][1]} takes {_times(timed[1][0], fast)} as long"
        return f"{name} also samples fastest, {short(fast)} ms an image; {after}."
    text = f"{name} samples fastest, {short(fast)} ms an image; "
    winner = next((entry for entry in results if entry.name == best), None)
    if winner is None or not winner.milliseconds:
        return f"{text}{last} is slowest, {short(slow)} ms, {_times(slow, fast)} as long."
    cost = f"{short(winner.milliseconds)} ms, {_times(winner.milliseconds, fast)} as long"
    return f"{text}{winner.name}’s better score costs {cost}{_cheaper(winner, order)}."


def _cheaper(entry: Entry, order: Sequence[Standing]) -> str:
    """The fastest setting of the best model that still scores better than the next model."""
    sign = 1 if better_is_higher(order[0].score) else -1
    bar = max((sign * other.estimate.value for other in order[1:]), default=-math.inf)
    settings = sorted((speed.milliseconds, speed) for speed in entry.speeds if known(speed.score))
    for milliseconds, speed in settings:
        value = speed.score.estimate.value if speed.score and speed.score.estimate else math.nan
        if sign * value > bar and milliseconds < (entry.milliseconds or 0):
            return f"; with {speed.words} it takes {short(milliseconds)} ms and still leads at {short(value)}"
    return ""


def _times(one: float, other: float) -> str:
    """How many times the one is the other: "1.4 times", "153 times"."""
    ratio = one / other
    return f"{round(ratio):,} times" if ratio >= 9.95 else f"{short(ratio, 2)} times"


def _warnings(results: Sequence[Entry]) -> str:
    """What to mind of each model, or nothing."""
    kinds = (broken, copied, missing, alarmed)
    found = {entry.name: [words for kind in kinds if (words := kind(entry))] for entry in results}
    phrases = [f"{name} {join(words)}" for name, words in found.items() if words]
    return f"Mind that {'; '.join(phrases)}." if phrases else ""


def broken(entry: Entry) -> str:
    """Trials that failed, in words."""
    failed = sum(bool(trial.failure) for trial in entry.trials)
    if failed:
        return f"failed in {failed} of {len(entry.trials)} training seeds"
    return "failed" if entry.failure else ""


def copied(entry: Entry) -> str:
    """More copies than real images would raise, in words."""
    found = entry.copies
    return f"copies ({short(found.per_10_000)} in 10,000 images)" if found and found.low > FALSE_ALARMS else ""


def lost(entry: Entry) -> list[str]:
    """The classes that a model next to never makes."""
    return [row.name for row in entry.classes if row.share < RARE * row.real_share]


def missing(entry: Entry) -> str:
    """The same in words."""
    names = lost(entry)
    many = f"{len(names)} of {len(entry.classes)} classes"
    return f"next to never makes {join(names) if len(names) <= LISTED else many}" if names else ""


def alarmed(entry: Entry) -> str:
    """Alarms of a model's monitors, in words."""
    count = sum(len(trial.alarms) for trial in entry.trials)
    return f"raised {'an alarm' if count == 1 else f'{count} alarms'} in training" if count else ""


def _abilities(results: Sequence[Entry]) -> str:
    """What some models can do besides sampling."""
    phrases = []
    probed = [(entry.probe.value, entry.name) for entry in results if entry.probe]
    if probed:
        value, name = max(probed)
        phrases.append(f"{name} encodes images: a linear probe on its features is right for {100 * value:.1f}%")
    for entry in results:
        if entry.bits:
            aside = f", {'a bound' if entry.bits_are == 'bound' else entry.bits_are}" if entry.bits_are else ""
            phrases.append(f"{entry.name} gives a likelihood ({short(entry.bits.value)} bits/dim{aside})")
    return f"Besides, {join(phrases)}." if phrases else "None of them encodes images or gives a likelihood."
