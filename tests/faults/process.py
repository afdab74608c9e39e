"""Command lines as processes: forked from one that has imported everything, so that a start takes no seconds."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

LIMIT = 300.0  # seconds after which a process hangs


class End(NamedTuple):
    """How a process ended."""

    code: int  # minus the number of the signal that killed it
    said: str  # on standard error and output
    seconds: float

    @property
    def sentence(self) -> str:
        """The last line that it said."""
        return (self.said.strip().splitlines() or [""])[-1]

    @property
    def traced(self) -> bool:
        """Whether it showed a traceback."""
        return "Traceback" in self.said


class Running:
    """A command line in a child of its own, in a process group of its own."""

    def __init__(self, words: Sequence[str], said: Path, first: Callable[[], None] = lambda: None) -> None:
        self._said, self._start = said, time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _live(words, said, first)
        os.setpgid(self.pid, self.pid)

    def send(self, number: int, group: bool = False) -> None:
        """A signal for the process, or for its whole group."""
        os.killpg(self.pid, number) if group else os.kill(self.pid, number)

    def ended(self) -> bool:
        """Whether it has, without waiting."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self, limit: float = LIMIT) -> End:
        """Its end; it is killed, and an `AssertionError` raised, after `limit` seconds."""
        deadline = time.monotonic() + limit
        while not self.ended():
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGABRT)  # faulthandler says where it hangs
                os.waitpid(self.pid, 0)
                raise AssertionError(f"A process hung for {limit} s: {self._said.read_text()[-2000:]}")
            time.sleep(0.005)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        said = self._said.read_text(encoding="utf-8", errors="replace")
        return End(code, said, time.monotonic() - self._start)


def _live(words: Sequence[str], said: Path, first: Callable[[], None]) -> None:
    """The life of a child: the command line as anybody calls it, with the exit code that a shell would see."""
    code = 1
    try:
        os.setpgid(0, 0)
        handle = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        faulthandler.enable()
        first()
        from triptych.cli import main

        code = main(list(words))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def call(words: Sequence[str], said: Path, first: Callable[[], None] = lambda: None, limit: float = LIMIT) -> End:
    """Run a command line to its end."""
    return Running(words, said, first).wait(limit)


def import_all(words: Sequence[str], scratch: Path) -> None:
    """Let a child run these words, and import here what it imported: no network has run in this process."""
    listed = scratch / "modules.json"

    def note_at_exit() -> None:
        leave = os._exit

        def note(code: int) -> None:
            listed.write_text(json.dumps(sorted(sys.modules)))
            leave(code)

        os._exit = note  # type: ignore[assignment]

    end = call(words, scratch / "said", note_at_exit)
    if end.code:
        raise SystemExit(f"error: {words} ended with {end.code}: {end.said}")
    for name in json.loads(listed.read_text()):
        try:
            importlib.import_module(name)
        except (ImportError, ValueError, AttributeError):
            continue
