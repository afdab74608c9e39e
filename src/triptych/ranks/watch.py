"""Whether the other processes are still there: each tells a common store once a second how far it is.

A rank is lost when its telling stops for `LOST` seconds, as it does where the process or its machine is dead or
stopped, and when it has not come to a meeting at which others have waited for it for `LATE` seconds. What rank 0
does beside training may take up to an hour. Whoever finds a rank lost ends its own process, with a sentence from the
first rank that is left and exit code 7, for a thread that waits in a message cannot be woken in any other way.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from triptych.errors import RankError, UsageError
from triptych.place import Place

BEAT = 1.0  # seconds between two words of a rank
LOST = 30.0  # seconds without a word; more where the others wait for longer
BROKEN = 5.0  # the same, once a message has failed
LATE = 60.0  # seconds that the others wait at a meeting, unless TRIPTYCH_WAIT says another number
LONG = 3600.0  # the same for what is not training


class Word(NamedTuple):
    """What a rank last said: that it lives, at which meeting it is, whether it does something else meanwhile."""

    beat: int = 0
    meeting: int = 0
    aside: int = 0


class Watch:
    """A thread that speaks for this rank and hears the others; raises a `UsageError` for a TRIPTYCH_WAIT below 1."""

    def __init__(self, store: Any, here: Place) -> None:
        self.store, self.here, self.late = store, here, patience()
        self.meeting, self.aside, self.broken = 0, False, False
        self._over = threading.Event()
        now = time.monotonic()
        self._others = {rank: (Word(), now, now) for rank in range(here.world) if rank != here.rank}
        self._thread = threading.Thread(target=self._run, daemon=True, name="ranks")

    def start(self) -> None:
        """Begin; the first word is said at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; nothing is watched from here on."""
        self._over.set()
        self._thread.join()

    def leave(self) -> None:
        """Tell the others that this rank ends in the middle; why, it says itself."""
        self.stop()
        with suppress(RuntimeError):  # the store may be what was lost
            self.store.set(f"left/{self.here.rank}", "")

    def finish(self) -> None:
        """Tell the others that this rank has done its part; rank 0, which may keep the store, waits for theirs."""
        self.stop()
        with suppress(RuntimeError):
            self.store.set(f"done/{self.here.rank}", "")
            if self.here.leads:
                self.store.wait([f"done/{rank}" for rank in range(1, self.here.world)], timedelta(seconds=self.late))

    def failed(self, error: Exception) -> RankError:
        """A message has failed: give the watch the time to find out whose fault it was."""
        self.broken = True
        self._over.wait(BROKEN + 10 * BEAT)
        return RankError(f"Rank {self.here.rank} lost the others ({_first_line(error)}).")

    def _run(self) -> None:
        beat = 0
        while not self._over.is_set():
            beat += 1
            try:
                self.store.set(f"word/{self.here.rank}", f"{beat} {self.meeting} {int(self.aside)}")
                verdict = self._verdict()
            except RuntimeError as error:
                verdict = (-1, f"The store of the run is lost, kept by rank 0 or torchrun ({_first_line(error)}).")
            if verdict and not self._over.is_set():
                self._end(*verdict)
            self._over.wait(BEAT)

    def _verdict(self) -> tuple[int, str] | None:
        """The rank that is lost and the sentence about it; None while all is well."""
        now = time.monotonic()
        for rank in list(self._others):
            if self.store.check([f"left/{rank}"]):
                return rank, ""
            if self.store.check([f"done/{rank}"]):
                del self._others[rank]
        for rank, (word, heard, moved) in self._others.items():
            new = self._word(rank)
            heard = now if new.beat != word.beat else heard
            moved = now if new.meeting != word.meeting or new.aside != word.aside else moved
            self._others[rank] = (new, heard, moved)
        furthest = max([self.meeting, *(word.meeting for word, _, _ in self._others.values())])
        for rank, (word, heard, moved) in self._others.items():
            silent = BROKEN if self.broken else max(LOST, self.late / 2)
            if now - heard > silent:
                return rank, f"Rank {rank} is lost: it has said nothing for {silent:.0f} s."
            bound = LONG if word.aside else self.late
            if word.meeting < furthest and now - moved > bound:
                return rank, f"Rank {rank} hangs: the others have waited for it for {bound:.0f} s."
        return None

    def _word(self, rank: int) -> Word:
        key = f"word/{rank}"
        return Word(*map(int, self.store.get(key).split())) if self.store.check([key]) else Word()

    def _end(self, lost: int, sentence: str) -> None:
        """End the process; a rank that left has said why itself."""
        speaker = min(rank for rank in range(self.here.world) if rank != lost)
        if sentence and self.here.rank == speaker:
            advice = "The last checkpoint is good: the same line again goes on, on as many processes as you like."
            print(f"\nerror: {sentence} {advice}", file=sys.stderr, flush=True)
        os._exit(RankError.code)


def patience() -> float:
    """The seconds that ranks wait for one that is late: TRIPTYCH_WAIT, for machines that are shared or uneven."""
    word = os.environ.get("TRIPTYCH_WAIT", f"{LATE:.0f}")
    if not word.isdigit() or not int(word):
        raise UsageError(f"TRIPTYCH_WAIT is {word!r}: give whole seconds, 1 or more.")
    return float(word)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
