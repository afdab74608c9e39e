"""The losses on images that are never trained on: the first sign of learning by heart."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from triptych import chance
from triptych.core import Batch, Source, Stats, Turn
from triptych.pixels import to_float
from triptych.training.state import Cast, State

MOST = 256  # images of the fixed batch


class Holdout:
    """A chore: every so many steps, each turn's loss on one fixed validation batch, same noise each time.

    They are logged as `TURN/held_out`, and the turn's other numbers as `TURN/held_out_NAME`. Nothing
    moves, and no statistics of a norm are touched. The state remembers the lowest value
    of the number `watched`, TURN/NAME as in the log.
    """

    def __init__(
        self,
        cast: Cast,
        turns: Sequence[Turn],
        source: Source,
        device: torch.device,
        note: Callable[[str, Stats], None],
        watched: str = "",
        every: int = 500,
    ) -> None:
        batch = source.read(range(min(len(source), MOST)))
        given = {name: value.to(device) for name, value in batch.given.items()}
        self.batch = Batch(to_float(batch.images.to(device)), given)
        self.cast, self.turns, self.note = cast, turns, note
        self.watched, self.every = watched, every

    def __call__(self, state: State) -> None:
        if state.steps % self.every:
            return
        self.cast.model.eval()
        self.cast.objective.eval()
        for turn in self.turns:
            chance.reseed(state.seed, "held out", turn.name)
            losses, stats = turn.loss(self.batch, state.seen)
            held_out = {f"held_out_{name}": value for name, value in stats.items()}
            loss = losses.detach().mean()
            self.note(turn.name, {"held_out": loss, **held_out})
            self._watch(state, {f"{turn.name}/{name}": value for name, value in {**stats, "loss": loss}.items()})
        self.cast.model.train()
        self.cast.objective.train()

    def _watch(self, state: State, numbers: Stats) -> None:
        value = float(numbers.get(self.watched, math.inf))
        if value < (math.inf if state.best is None else state.best):
            state.best, state.best_seen = value, state.seen


def tired(state: State, patience: int) -> bool:
    """Whether the watched number has not fallen for so many images: early stopping (Prechelt 1998)."""
    return state.best is not None and state.seen - state.best_seen >= patience
