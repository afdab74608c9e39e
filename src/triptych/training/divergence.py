"""A step whose loss or gradient is no finite number: noticed before it moves a weight."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor, nn

from triptych.core import Turn
from triptych.errors import NumericsError
from triptych.training.state import Cast, State


class Diverged(NumericsError):  # noqa: N818 - what a run has, not what it is
    """A turn that was not played to its end; no weight of it has moved, and all processes of a run raise it."""

    everywhere = True

    def __init__(self, turn: str, state: State, loss: float, gradients: tuple[str, ...]) -> None:
        self.turn, self.seen, self.loss, self.gradients = turn, state.seen, loss, gradients
        what = f"The loss of the turn {turn} is {loss:g}"
        if math.isfinite(loss):
            what = (
                f"The gradient of {gradients[0]} in the turn {turn} is not finite"
                if gradients
                else (f"The gradients of the turn {turn} are too large to have a norm")
            )
        super().__init__(f"{what} after {state.seen:,} images; no weight has moved.")


def of_turn(turn: Turn, cast: Cast, state: State, loss: Tensor) -> Diverged:
    """The error for a turn whose gradients still lie in the parameters."""
    return Diverged(turn.name, state, float(loss), wrong_gradients(turn, cast))


def wrong_gradients(turn: Turn, cast: Cast) -> tuple[str, ...]:
    """The names of the turn's parameters whose gradient holds a number that is not finite."""
    named = [*_named("model", cast.model), *_named("objective", cast.objective)]
    moved = {id(parameter) for parameter in turn.moves}
    return tuple(name for name, p in named if id(p) in moved and p.grad is not None and not p.grad.isfinite().all())


def _named(owner: str, module: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
    return ((f"{owner}.{name}", parameter) for name, parameter in module.named_parameters())
