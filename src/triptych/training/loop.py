"""The loop: it plays turns and knows nothing else.

One step: read the batch that `seen` names; for each turn that is due, hold the other players still,
seed the chance of this turn, take the loss, go down it; let the average follow; count the images.
Nothing here is stored: order and noise follow from (seed, images seen), so a run that was stopped
at any step goes on bit for bit as if it had not been.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import torch
from torch import nn

from triptych import chance, ranks
from triptych.core import Batch, Stats, Turn
from triptych.errors import UsageError, nearest
from triptych.training.divergence import of_turn
from triptych.training.optimisers import certain
from triptych.training.state import Cast, State

Chore = Callable[[State], None]  # called after each step; does its work when its interval has passed


class Batches(Protocol):
    """An endless order of batches in which the images seen are the only position."""

    def batch(self, seen: int) -> Batch: ...


class Player(NamedTuple):
    """A turn with the parameters that must stand still while it is played."""

    turn: Turn
    others: Sequence[nn.Parameter]


def players(cast: Cast, turns: Sequence[Turn]) -> list[Player]:
    """Each turn beside everybody else; raises where turns and optimisers do not match."""
    for name in cast.optimisers:
        if name not in [turn.name for turn in turns]:
            raise UsageError(f"optimisers.{name}: there is no such turn; {nearest(name, [t.name for t in turns])}")
    everybody = [*cast.model.parameters(), *cast.objective.parameters()]
    result = []
    for turn in (turn for turn in turns if turn.span[0] < turn.span[1]):  # one that is never played needs no optimiser
        if turn.name not in cast.optimisers:
            raise UsageError(f"optimisers: the turn {turn.name!r} has none; add optimisers.{turn.name}.")
        moving = {id(p) for p in turn.moves}
        result.append(Player(turn, [p for p in everybody if id(p) not in moving]))
    return result


def train(
    cast: Cast,
    turns: Sequence[Turn],
    stream: Batches,
    state: State,
    until: Callable[[State], bool],
    chores: Sequence[Chore],
    note: Callable[[str, Stats], None],
    precision: Callable[[], AbstractContextManager[object]],
) -> None:
    """Play steps until `until(state)`; `note(turn, stats)` takes the numbers of each turn.

    `state` moves on after each step, and the chores see it then. `precision` opens the autocast
    region of the losses. Time spent in chores does not count as the run's. Raises `Diverged` before a weight moves
    by a loss or gradient that is not finite.
    """
    cast.model.train()
    cast.objective.train()
    game = players(cast, turns)
    while not until(state):
        start = time.perf_counter()
        batch = stream.batch(state.seen)
        for player in game:
            if player.turn.on(state.seen) and state.steps % player.turn.every == 0:
                note(player.turn.name, _play(player, cast, batch, state, precision))
        size = ranks.count(len(batch.images))
        if cast.ema:
            cast.ema.follow(size, state.seen)
        state.seen += size
        state.steps += 1
        state.seconds += time.perf_counter() - start
        for chore in chores:
            chore(state)


def _play(
    player: Player, cast: Cast, batch: Batch, state: State, precision: Callable[[], AbstractContextManager[object]]
) -> Stats:
    """One turn: only its own parameters have gradients, and only they move."""
    turn, optimiser = player.turn, cast.optimisers[player.turn.name]
    for parameter in player.others:
        parameter.requires_grad_(False)
    for parameter in turn.moves:
        parameter.requires_grad_(True)
    gradients, told = ranks.Gradients(turn.moves), []
    for index in range(ranks.pieces()):
        with ranks.piece(index, len(batch.images)) as rows:
            chance.reseed(state.seed, state.seen, turn.name)
            told.append(_go_down(turn, batch.rows(rows), state, precision))
        gradients.take()
    gradients.give()
    numbers = ranks.averaged(told)
    try:
        certain(numbers["loss"])
        norm = optimiser.step(state.seen)
    except FloatingPointError as error:
        raise of_turn(turn, cast, state, numbers["loss"]) from error
    skipped = {} if optimiser.skip is None else {"skipped": optimiser.skips(norm).float()}
    return {**numbers, "gradient": norm, **skipped}


def _go_down(
    turn: Turn, batch: Batch, state: State, precision: Callable[[], AbstractContextManager[object]]
) -> tuple[Stats, float]:
    """Leave the gradients of these images' losses in the parameters; the numbers to log, and the share of the batch."""
    with precision():
        losses, stats = turn.loss(batch, state.seen)
    loss = losses.to(torch.promote_types(losses.dtype, torch.float32)).mean()
    share = ranks.weight(len(losses))
    (loss * share).backward()  # type: ignore[no-untyped-call]
    return {"loss": loss.detach(), **{name: torch.as_tensor(value).detach() for name, value in stats.items()}}, share
