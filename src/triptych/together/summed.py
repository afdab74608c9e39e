"""The sum of two objectives: what moves the same parameters is one turn, whose losses add.

A VAE with a critic (Larsen et al. 2016, arXiv:1512.09300) is such a sum, and so is any objective with a
perceptual term. Notation: B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from torch import Tensor

from triptych.core import Batch, Model, Objective, Stats, Turn
from triptych.errors import UsageError

Part = Annotated[Objective, "objective"]


class Summed(Objective):
    """Two objectives of one model; either may be a sum itself.

    A turn of `second` that moves parameters which a turn of `first` moves too is added to that turn, which
    keeps its name, its optimiser and its place; its numbers are logged under the added turn's name. The
    other turns stay as they are and are played after those of `first`.
    """

    def __init__(self, first: Part, second: Part) -> None:
        super().__init__()
        self.first, self.second = first, second

    def turns(self, model: Model) -> Sequence[Turn]:
        """The turns of both; raises a `UsageError` where it is not clear which are one, or two have one name."""
        found = list(self.first.turns(model))
        for turn in self.second.turns(model):
            moved = {id(p) for p in turn.moves}
            meets = [place for place, one in enumerate(found) if any(id(p) in moved for p in one.moves)]
            if not meets:
                found.append(turn)
            elif len(meets) == 1:
                found[meets[0]] = added(found[meets[0]], turn)
            else:
                names = " and ".join(found[place].name for place in meets)
                raise UsageError(
                    f"objective: {turn.name} moves what {names} move; it can be added to one of them only."
                )
        return distinct(found)


def added(one: Turn, other: Turn) -> Turn:
    """One turn that moves what either moves, down the sum of their losses; both must be played at the same steps."""
    if (one.every, one.span) != (other.every, other.span):
        raise UsageError(
            f"objective: {one.name} and {other.name} move the same parameters, but not at the same steps: "
            "give them one rhythm (critic_steps 1) and one stage."
        )
    moved = {id(p) for p in one.moves}
    moves = [*one.moves, *(p for p in other.moves if id(p) not in moved)]
    return one._replace(moves=moves, loss=partial(_sum, one, other))


def distinct(turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns themselves; raises a `UsageError` where two share a name, by which optimisers and log know them."""
    names = [turn.name for turn in turns]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(
            f"objective: two turns are called {twice[0]}; combine objectives whose turns have other names."
        )
    return turns


def _sum(one: Turn, other: Turn, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
    """Losses (B,) of two turns together; the numbers of the second have its name in front."""
    losses, stats = one.loss(batch, seen)
    more, others = other.loss(batch, seen)
    named = {f"{other.name}_{name}": value for name, value in others.items()}
    return losses + more, {**stats, f"{other.name}_loss": more.detach().mean(), **named}
