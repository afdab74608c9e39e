"""Steps of a run that is thrown away, and how fast they are."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from triptych import devices, ranks
from triptych.run import Run
from triptych.training.loop import train
from triptych.training.state import State
from triptych.ways import region

WARM, LEAST = 2, 3  # steps that are not timed at first, and that are timed at least
SHARE = 0.02  # of all images, after which a quarter of the probe's time will do


def play(run: Run, state: State, until: Callable[[State], bool]) -> None:
    """Play steps until `until(state)`, without chores; returns when the device has done them."""
    pieces = min(int(run.tree["pieces"]), run.stream.size)
    with ranks.divided(run.stream.size, pieces=pieces):
        train(
            run.cast, run.turns, run.stream, state, until, [],
            lambda turn, stats: None, lambda: region(run.tree, run.device),
        )  # fmt: skip
    devices.synchronise(run.device)


def pace(run: Run, start: int, span: float, images: float = math.inf) -> float:
    """Seconds for each image after `start` images, once warm; a short training is not probed for long."""
    state = State(run.state.seed, seen=start)
    play(run, state, lambda state: state.steps >= WARM)
    begun, seen = time.perf_counter(), state.seen

    def enough(state: State) -> bool:
        passed = time.perf_counter() - begun
        much = passed >= span or (passed >= span / 4 and state.seen - seen >= SHARE * images)
        return much and state.steps >= WARM + LEAST

    play(run, state, enough)
    return (time.perf_counter() - begun) / (state.seen - seen)
