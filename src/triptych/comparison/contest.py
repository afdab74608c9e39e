"""The contest: everybody trained under the rules, then judged on common ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import torch

from triptych import chance, child, machine
from triptych.comparison.contestants import Contestant
from triptych.comparison.ground import Ground, affordable, ground
from triptych.comparison.measuring import Trained, entry, outside, show
from triptych.data import Splits
from triptych.data.arrays import ArraySource
from triptych.errors import TriptychError
from triptych.evaluation import probe_of_pixels
from triptych.extractors import Extractor
from triptych.metrics.table import scores
from triptych.report.entries import Entry, Heading
from triptych.screen import Screen

REAL = 32  # real images shown
COLOURS = {1: "grey", 2: "grey with alpha", 3: "colour", 4: "colour with alpha"}


class Rules(NamedTuple):
    """What holds for all contestants."""

    budget: str  # in words
    shown: int  # images shown of each
    scored: int  # generated images behind each score, at most
    splits: Splits
    look: Extractor
    device: torch.device
    screen: Screen


def train_all(
    players: Sequence[Contestant], seeds: range, words: Sequence[str], place: Path, rules: Rules
) -> dict[Contestant, list[Trained]]:
    """Train each contestant at each seed, in a process of its own; `words` are the data and common flags."""
    found: dict[Contestant, list[Trained]] = {one: [] for one in players}
    for seed in seeds:
        for number, one in enumerate(players, 1):
            at = f" at seed {seed}" if len(seeds) > 1 else ""
            rules.screen.say(f"{number} of {len(players)}: {one.label}{at}, {rules.budget}")
            line = [*one.words(words[0], place / f"{one.label}-{seed}"), *words[1:], "--seed", str(seed)]
            code, result = child.call(line)
            found[one].append(Trained(seed, code, result))
            if found[one][-1].failure:
                rules.screen.warn(f"{one.label}: {found[one][-1].failure}")
    return found


def judged(
    trained: Mapping[Contestant, Sequence[Trained]], others: Mapping[str, tuple[str, ArraySource]], rules: Rules
) -> tuple[list[Entry], Heading]:
    """An entry for each, best known first come, and what they share.

    Raises the error of the last failure where there is nothing to judge.
    """
    failures = [one for runs in trained.values() for one in runs if one.failure]
    if len(failures) == sum(map(len, trained.values())) and not others:
        said = dict.fromkeys(f"{one.label}: {runs[0].failure}" for one, runs in trained.items())
        error = TriptychError(" ".join(said))
        error.code = max(failures[-1].code, 1)
        raise error
    shown = {one: show(runs, rules.shown, str(rules.device)) for one, runs in trained.items()}
    ready = [found for found in shown.values() if found is not None]
    longest = max((float(found.result["seconds"]) for found in ready), default=0.0)
    images = affordable([found.milliseconds for found in ready], longest, rules.scored)
    common = ground(rules.splits, rules.look, images, rules.device, rules.screen)
    entries = [entry(one.label, one.model, runs, shown[one], common) for one, runs in trained.items()]
    entries += [outside(name, where, source, rules.shown, common) for name, (where, source) in others.items()]
    return entries, heading(common, rules)


def heading(common: Ground, rules: Rules) -> Heading:
    """What all models share, with real images drawn at random."""
    train, held_out = rules.splits.train, rules.splits.validation
    chosen = torch.randperm(len(train), generator=chance.generator("shown"))[:REAL].tolist()
    channels, height, width = train.image_shape
    classes = f", {len(train.class_names)} classes" if train.class_names else ""
    few = "" if common.images == rules.scored else f" (fewer than {rules.scored:,}, for one model samples slowly)"
    return Heading(
        data=rules.splits.name,
        about=f"{len(train):,} training images of {height} × {width} pixels, {COLOURS[channels]}{classes}",
        real=train.read(chosen).images,
        budget=rules.budget,
        machine=machine.describe(str(rules.device)),
        date=datetime.now().astimezone(),
        seeds=range(rules.shown),
        scored=f"{rules.look.about}; {common.images:,} generated images{few} against {common.real.n:,} training "
        f"images (reference {train.fingerprint[:12]}); real ones, held out: {common.held_out.n:,}",
        probe_of_pixels=probe_of_pixels(train, held_out),
        real_scores=scores(common.real, common.held_out),
    )
