"""The log of a run: one JSON line for each so many steps, the mean of each number in between."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from triptych import durable
from triptych.core import Stats
from triptych.errors import DataError, NumericsError
from triptych.intake import MOST_LISTS, bytes_of, json_of
from triptych.training.state import State


class Logbook:
    """Gathers numbers on the device and writes their means to `metrics.jsonl`.

    Lines behind `state.seen` (of a run that was killed after its last checkpoint) are dropped, and a
    torn last line with them; the half-gathered line is part of the state. So the log of a resumed
    run is that of a run that was never stopped, but for the clock.
    """

    def __init__(self, path: Path, state: State, every: int = 50, writers: tuple[Any, ...] = ()) -> None:
        self.path, self.every, self._writers = path, every, writers
        self.latest: dict[str, float] = {}
        self.open_at(state)

    def open_at(self, state: State) -> None:
        """Go on from here: what was written and gathered later is forgotten."""
        self._sums: dict[str, Tensor] = {
            name: torch.tensor(value, dtype=torch.float64) for name, value in state.sums.items()
        }
        self._counts = dict(state.counts)
        self._mark = (float(state.seen), state.seconds)
        kept = [line for line in read(self.path) if line["seen"] <= state.seen]
        durable.write(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        if kept:
            self._mark = (kept[-1]["seen"], kept[-1]["seconds"])

    def note(self, turn: str, stats: Stats) -> None:
        """Take the numbers of one turn; nothing is read back from the device."""
        for name, value in stats.items():
            entry = f"{turn}/{name}"
            value = value.double() if value.device.type != "mps" else value.float()
            self._sums[entry] = self._sums[entry].to(value) + value if entry in self._sums else value
            self._counts[entry] = self._counts.get(entry, 0) + 1

    def __call__(self, state: State) -> None:
        """The chore: write a line when its steps are full; raises where a number is not finite."""
        if state.steps % self.every == 0 and self._counts:
            self.write(state)

    def write(self, state: State) -> None:
        """Write the line of what was gathered, and begin the next."""
        self.latest = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        seen, seconds = self._mark
        rate = (state.seen - seen) / max(state.seconds - seconds, 1e-9)
        line = {"seen": state.seen, **self.latest, "seconds": state.seconds, "images_per_second": rate}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for writer in self._writers:
            for name, value in self.latest.items():
                writer.add_scalar(name, value, state.seen)
        self._sums, self._counts, self._mark = {}, {}, (float(state.seen), state.seconds)
        wrong = [name for name, value in self.latest.items() if not math.isfinite(value)]
        if wrong:
            raise NumericsError(f"{wrong[0]} is no longer a finite number after {state.seen:,} images.")

    def line(self, state: State, numbers: dict[str, float]) -> None:
        """Write numbers that are not gathered over steps as a line of their own."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"seen": state.seen, **numbers, "seconds": state.seconds}) + "\n")
        for writer in self._writers:
            for name, value in numbers.items():
                writer.add_scalar(name, value, state.seen)

    def flush(self) -> None:
        """Push what is written to the disk: a checkpoint is never older there than its log."""
        durable.flush(self.path)

    def park(self, state: State) -> None:
        """Put the half-gathered line into the state, for a checkpoint."""
        state.sums = {name: float(total) for name, total in self._sums.items()}
        state.counts = dict(self._counts)


def read(path: Path) -> list[dict[str, float]]:
    """The whole lines of a log; a torn last line is left out."""
    if not path.exists():
        return []
    lines = []
    try:
        whole = bytes_of(path, MOST_LISTS).decode(errors="replace")
    except (OSError, ValueError) as error:
        raise DataError(f"The log {path} cannot be read ({error}): move it out of the run.") from error
    for text in whole.splitlines():
        try:
            line = json_of(text)
        except ValueError:
            continue
        if isinstance(line, dict) and all(isinstance(line.get(key), (int, float)) for key in ("seen", "seconds")):
            lines.append(line)
    return lines
