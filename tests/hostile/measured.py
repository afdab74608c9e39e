"""Runs a reader in a process of its own, and says what came of it, in how many seconds and in how much memory."""

from __future__ import annotations

import os
import pickle
import resource
import time
import traceback
from collections.abc import Callable
from typing import NamedTuple

SECONDS, MEMORY = 1.0, 300 * 2**20
_UNIT = 1024 if os.uname().sysname == "Linux" else 1  # of ru_maxrss


class Outcome(NamedTuple):
    """What a reader did: the class of the error and its text ("" for none), CPU seconds, bytes more than before."""

    error: str
    text: str
    seconds: float
    memory: int


def measured(read: Callable[[], object], room: int = 2 * 2**30) -> Outcome:
    """The outcome of `read()` in a fork that may use `room` bytes more than this process; its answer is thrown away."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        with open("/proc/self/statm") as pages:
            now = int(pages.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + room, now + room))
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            read()
            said = ("", "")
        except BaseException as error:  # whatever it is: the parent judges
            said = (type(error).__name__, str(error) or traceback.format_exc())
        spent = time.process_time() - started
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * _UNIT
        with os.fdopen(theirs, "wb") as pipe:
            pickle.dump((*said, spent, grown), pipe)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return Outcome(*pickle.loads(answer)) if answer else Outcome("Killed", "", 0.0, 0)


def refused(read: Callable[[], object], error: str, part: str = "") -> Outcome:
    """Assert that it was refused with one sentence, in a second and 300 MB."""
    outcome = measured(read)
    assert outcome.error == error, outcome
    assert part in outcome.text, outcome
    bearable(outcome)
    assert "\n" not in outcome.text
    assert "Traceback" not in outcome.text
    assert len(outcome.text) < 1500, len(outcome.text)
    assert outcome.text.isprintable(), outcome.text
    return outcome


def bearable(outcome: Outcome) -> None:
    assert outcome.seconds < SECONDS, outcome
    assert outcome.memory < MEMORY, outcome
