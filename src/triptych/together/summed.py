"""The sum of two objectives: what moves the same parameters is one turn, whose losses add.

A VAE with a critic (Larsen et al. 2016, arXiv:1512.09300) is such a sum, and so is any objective with a
perceptual term. Notation: B batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from torch import Tensor, nn

from triptych.core import Batch, Model, Objective, Stats, Turn
from triptych.errors import UsageError

Part = Annotated[Objective, "objective"]


class Summed(Objective):
    """Two objectives of one model; either may be a sum itself.

    A turn of `second` that moves parameters which turns of `first` move too is added to these, which keep
    their names, optimisers and places: each parameter goes down all that is said of it. The numbers of the
    added turn are logged behind its name. The other turns stay as they are, played after those of `first`.
    """

    def __init__(self, first: Part, second: Part) -> None:
        super().__init__()
        self.first, self.second = first, second

    def turns(self, model: Model) -> Sequence[Turn]:
        """The turns of both; raises a `UsageError` where turns cannot be one, or two have one name."""
        mine, apart = list(self.first.turns(model)), []
        for turn in self.second.turns(model):
            moved, known = {id(p) for p in turn.moves}, {id(p) for one in mine for p in one.moves}
            new = [p for p in turn.moves if id(p) not in known]  # moved once, with the first that is met
            met = [place for place, one in enumerate(mine) if any(id(p) in moved for p in one.moves)]
            for place in met:
                mine[place] = added(mine[place], turn, new if place == met[0] else [])
            apart += [] if met else [turn]
        return distinct([*mine, *apart])


def added(one: Turn, other: Turn, new: Sequence[nn.Parameter]) -> Turn:
    """`one`, which moves `new` parameters too, down the sum of both losses; both must be played at the same steps."""
    if (one.every, one.span) != (other.every, other.span):
        raise UsageError(
            f"objective: {one.name} and {other.name} move the same parameters, but not at the same steps: "
            "give them one rhythm (critic_steps 1) and one stage."
        )
    return one._replace(moves=[*one.moves, *new], loss=partial(_sum, one, other))


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
