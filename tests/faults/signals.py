"""Ctrl-C and SIGTERM, once and twice, in training, in a save, in a score, and to the whole process group."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from faults.process import Running
from faults.subjects import ALWAYS, BATCH, SELDOM, START, Subject, copy, newest, orphans, words
from triptych.training.logbook import read

FOREVER = 10**7  # steps
MOST = 10.0  # seconds from the signal to the end


class Row(NamedTuple):
    """What a signal did."""

    case: str
    code: int
    wanted: int
    seconds: float  # from the last signal to the end
    sentence: str
    kept: int  # images of the newest checkpoint beyond the start
    orphans: int  # processes of the group that are left

    @property
    def clean(self) -> bool:
        fine = self.code == self.wanted and self.seconds < MOST and not self.orphans and bool(self.sentence)
        return fine and (self.kept > 0 or "twice" in self.case)


class Case(NamedTuple):
    """When, and how often."""

    name: str
    flags: tuple[str, ...]
    ready: Callable[[Path], bool]  # whether the moment has come
    group: bool = False
    twice: bool = False


def _beyond(run: Path) -> bool:
    """Whether the log has a line that it did not have at the start."""
    return any(line["seen"] > START * BATCH for line in read(run / "metrics.jsonl"))


def _saving(run: Path) -> bool:
    return any((run / "at").glob(".*.part/*"))


CASES = (
    Case("in training", SELDOM, _beyond),
    Case("in training, to the group", SELDOM, _beyond, group=True),
    Case("in a save", ALWAYS, _saving),
    Case("twice in training", SELDOM, _beyond, twice=True),
    Case("twice in a save", ALWAYS, _saving, twice=True),
    Case("twice in training, to the group", SELDOM, _beyond, group=True, twice=True),
)


def campaign(subjects: list[Subject], folder: Path) -> list[Row]:
    """Each case with both signals."""
    pairs = [(case, number) for case in CASES for number in (signal.SIGINT, signal.SIGTERM)]
    return [_one(case, number, subjects[index % len(subjects)], folder) for index, (case, number) in enumerate(pairs)]


def _one(case: Case, number: signal.Signals, subject: Subject, folder: Path) -> Row:
    run = copy(subject, folder / "run")
    running = Running(words(subject.name, run, FOREVER, *case.flags), folder / "said")
    deadline = time.monotonic() + 120
    while not case.ready(run):
        assert time.monotonic() < deadline, f"{case.name} did not come: {(folder / 'said').read_text()[-300:]}"
        assert not running.ended(), (folder / "said").read_text()[-300:]
        time.sleep(0.001)
    running.send(number, case.group)
    if case.twice and not running.ended():
        time.sleep(0.0005)
        running.send(number, case.group)
    sent = time.monotonic()
    end = running.wait(60)
    sentence = "" if end.traced else end.sentence
    left = _group(running.pid)
    assert case.twice or not orphans(run), orphans(run)
    kept = int(newest(run).name) - START * BATCH
    return Row(f"{number.name} {case.name}", end.code, 128 + number, time.monotonic() - sent, sentence, kept, left)


def _group(leader: int) -> int:
    """How many living processes are in the group of one that has ended."""
    found = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found += fields[0] != "Z" and int(fields[2]) == leader
    return found


def table(rows: list[Row]) -> str:
    """Cases x exit codes, as Markdown."""
    lines = ["| signal | exit code | seconds | images saved since the start | processes left | says |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        numbers = f"{row.code} | {row.seconds:.1f} | {row.kept:,} | {row.orphans}"
        lines.append(f"| {row.case} | {numbers} | {row.sentence} |")
    return "\n".join(lines)
