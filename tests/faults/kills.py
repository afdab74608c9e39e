"""Kill a run, start it again, and compare it with one that never was."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from faults.phases import PHASES, Phase, set_off
from faults.process import Running, call
from faults.subjects import ALWAYS, END, SELDOM, Subject, copy, differing_bits, orphans, words


@dataclass
class Row:
    """What became of the kills of one phase."""

    phase: str
    kills: int = 0
    missed: int = 0  # the process ended before its moment came
    unloadable: int = 0  # the next start did not go on
    differing: int = 0  # bits, over all runs
    orphans: int = 0  # files that should be gone after the next start
    lost: int = 0  # runs that went on from an older checkpoint than the last one that was published
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.unloadable or self.differing or self.orphans or self.lost)


class Kill(NamedTuple):
    """One death to come."""

    subject: Subject
    phase: Phase
    nth: int
    moment: float  # of a random one, as a share of a whole run


def plan(subjects: list[Subject], count: int, seed: int) -> Iterator[Kill]:
    """So many kills: each phase with each subject in turn, the coming of it at random."""
    chances = random.Random(seed)
    for index in range(count):
        phase = PHASES[index % len(PHASES)]
        subject = subjects[index // len(PHASES) % len(subjects)]
        yield Kill(subject, phase, chances.randint(1, phase.most), chances.random())


def campaign(subjects: list[Subject], count: int, folder: Path, seed: int = 0,
             progress: Callable[[int], None] = lambda done: None) -> list[Row]:  # fmt: skip
    """Do them all; a row for each phase."""
    rows = {phase.name: Row(phase.name) for phase in PHASES}
    length = {subject.name: _length(subject, folder) for subject in subjects}
    for done, kill in enumerate(plan(subjects, count, seed)):
        _one(kill, folder, rows[kill.phase.name], length[kill.subject.name])
        progress(done + 1)
    return [row for row in rows.values() if row.kills or row.missed]


def _length(subject: Subject, folder: Path) -> float:
    """Seconds that a run takes from its start to its end."""
    end = call(words(subject.name, copy(subject, folder / "run"), END, *ALWAYS), folder / "said")
    assert end.code == 0, end.said
    return end.seconds


def _one(kill: Kill, folder: Path, row: Row, length: float) -> None:
    """One process killed, one that goes on, and the difference that it makes."""
    run, (subject, phase) = folder / "run", kill[:2]
    fresh = phase.call == "write" and "recipe" in phase.path
    shutil.rmtree(run, ignore_errors=True)
    if not fresh:
        copy(subject, run)
    if not _killed(kill, run, folder / "said", length):
        row.missed += 1
        return
    row.kills += 1
    published = max((int(path.name) for path in (run / "at").glob("0*")), default=0)
    end = call(words(subject.name, run, END, *SELDOM), folder / "said")
    if end.code:
        row.unloadable += 1
        row.notes.append(f"{subject.name} {kill.nth}: {end.sentence}")
        return
    row.lost += published > 0 and f"after {published:,} images" not in end.said
    left = orphans(run)
    row.orphans += len(left)
    bits = differing_bits(run, subject.whole)
    row.differing += bits
    if left or bits:
        row.notes.append(f"{subject.name} {kill.nth}: {bits} bits; {' '.join(left)}")


def _killed(kill: Kill, run: Path, said: Path, length: float) -> bool:
    """Start the run and end it at its moment; whether that came."""
    line = words(kill.subject.name, run, END, *ALWAYS, *kill.phase.more)
    if kill.phase.call:
        return call(line, said, set_off(kill.phase, kill.nth)).code == -signal.SIGKILL
    running = Running(line, said)
    time.sleep(kill.moment * length)
    running.send(signal.SIGKILL)
    return running.wait().code == -signal.SIGKILL


def table(rows: list[Row]) -> str:
    """Phases x kills x unloadable x differing bits x orphans, as Markdown."""
    total = Row("all")
    for row in rows:
        for name in ("kills", "missed", "unloadable", "differing", "orphans", "lost"):
            setattr(total, name, getattr(total, name) + getattr(row, name))
    lines = ["| killed | kills | not reached | unloadable | differing bits | orphans | older than the last |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in (*rows, total):
        numbers = (row.kills, row.missed, row.unloadable, row.differing, row.orphans, row.lost)
        lines.append(f"| {row.phase} | {' | '.join(f'{number:,}' for number in numbers)} |")
    return "\n".join(lines)
