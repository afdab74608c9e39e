"""Where a run stands, and all its tensors under one flat set of names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from triptych import ranks
from triptych.core import Model, Objective
from triptych.errors import CheckpointError
from triptych.training.ema import Ema
from triptych.training.optimisers import Optimiser
from triptych.words import quoted

EASE = 0.5  # of the rates, each time that a run goes back


@dataclass
class State:
    """The counters of a run; images seen are its clock."""

    seed: int
    seen: int = 0
    steps: int = 0
    seconds: float = 0.0  # spent in steps, on all starts of the run together
    sums: dict[str, float] = field(default_factory=dict)  # of the log line that is being gathered
    counts: dict[str, int] = field(default_factory=dict)
    best: float | None = None  # the lowest value of the watched number on held-out images
    best_seen: int = 0  # and when it was
    eased: int = 0  # how often the run went back after it had diverged

    @staticmethod
    def of(counters: Mapping[str, Any]) -> State:
        """What `as_dict` gave; raises a `CheckpointError` where it is something else."""
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(State).validate_python(counters)
        except ValidationError as error:
            wrong = ", ".join(".".join(map(str, detail["loc"])) for detail in error.errors())
            raise CheckpointError(f"The counters of the checkpoint are not those of a run: {quoted(wrong)}.") from error

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Cast(NamedTuple):
    """Everybody whose weights change in a run."""

    model: Model
    objective: Objective
    optimisers: Mapping[str, Optimiser]
    ema: Ema | None
    shards: ranks.Shards = ranks.KEPT_BY_ALL

    @property
    def shown(self) -> Model:
        """The model that is sampled and saved: the average where there is one."""
        return self.ema.model if self.ema else self.model

    def tensors(self) -> dict[str, Tensor]:
        """All tensors but those of `shown`, by name."""
        held = {f"objective/{name}": t for name, t in self.objective.state_dict().items()}
        if self.ema:
            held |= {f"model/{name}": t for name, t in self.model.state_dict().items()}
        for turn, optimiser in self.optimisers.items():
            for index, moments in optimiser.torch.state_dict()["state"].items():
                held |= {f"optimiser/{turn}/{index}/{name}": t for name, t in moments.items()}
        return held

    def restore(self, shown: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> None:
        """Put back what `shown.state_dict()` and `tensors()` gave; raises a `CheckpointError`."""
        try:
            with self._room():
                self.shown.load_state_dict(dict(shown))
            self.objective.load_state_dict(under(held, "objective/"))
            if self.ema:
                self.model.load_state_dict(under(held, "model/"))
            for turn, optimiser in self.optimisers.items():
                moments = _moments(optimiser, turn, held)
                moments = {index: moments[index] for index in moments if self.shards.keeps(optimiser.parameters[index])}
                groups = optimiser.torch.state_dict()["param_groups"]
                optimiser.torch.load_state_dict({"state": moments, "param_groups": groups})
                optimiser.torch.zero_grad()
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"The checkpoint does not fit the recipe: {' '.join(str(error).split())}") from error

    def shard(self, crew: ranks.Crew) -> Cast:
        """This cast, with moments and averages dealt out among a crew; before the first step and before `restore`."""
        sizes = Counter[nn.Parameter]()
        for parameter in self.model.parameters() if self.ema else ():
            sizes[parameter] += parameter.nbytes
        for parameter in (p for optimiser in self.optimisers.values() for p in optimiser.parameters):
            sizes[parameter] += 2 * parameter.nbytes
        cast = self._replace(shards=ranks.Shards(sizes, crew))
        crew.on_call(lambda moments: cast._hand_in(bool(moments)))
        for optimiser in self.optimisers.values():
            optimiser.shards = cast.shards
        if self.ema:
            self.ema.shard(cast.shards)
        return cast

    @contextmanager
    def whole(self, moments: bool = False) -> Iterator[None]:
        """On rank 0, while the others wait: `shown`, and if wished `tensors()`, with what the others keep too."""
        found = self.shards.fetched(int(moments))
        try:
            with self._room():
                averages = self.shown.state_dict()
                for name, tensor in under(found, "average/").items():
                    averages[name].copy_(tensor)
                for turn, optimiser in self.optimisers.items():
                    for index, memory in _moments(optimiser, turn, found).items():
                        optimiser.torch.state[optimiser.parameters[index]] = memory
                yield
        finally:
            for optimiser in self.optimisers.values():
                for parameter in (p for p in optimiser.parameters if not self.shards.keeps(p)):
                    optimiser.torch.state.pop(parameter, None)

    def alike(self) -> dict[str, Tensor]:
        """What is the same on all processes: all tensors, or weights where the rest is dealt out."""
        held = {f"shown/{name}": t for name, t in self.shown.state_dict().items()} | self.tensors()
        weights = {**self.model.state_dict(), **self.objective.state_dict()}
        return weights if self.shards.dealt else held

    def _hand_in(self, moments: bool) -> None:
        """Send rank 0 what this process keeps alone."""
        own: dict[str, Tensor] = {}
        if self.ema:
            lives = self.model.state_dict(keep_vars=True)
            own |= {f"average/{n}": t for n, t in self.shown.state_dict().items() if self.shards.alone(lives[n])}
        if moments:
            own |= {name: t for name, t in self.tensors().items() if name.startswith("optimiser/")}
        self.shards.hand_in(own)

    def _room(self) -> AbstractContextManager[None]:
        return self.ema.room() if self.ema else nullcontext()

    def ease(self, times: int) -> None:
        """Let the rates be what they are after so many returns."""
        for optimiser in self.optimisers.values():
            optimiser.ease = EASE**times

    def not_finite(self) -> str | None:
        """The name of a tensor that holds a number which is not finite, of anybody's; None where all is well."""
        return not_finite({f"shown/{name}": t for name, t in self.shown.state_dict().items()} | self.tensors())


def _moments(optimiser: Optimiser, turn: str, held: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """By the number of its parameter, what an optimiser remembers; raises a `CheckpointError` where that is not so."""
    shapes = [p.shape for group in optimiser.torch.param_groups for p in group["params"]]
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in under(held, f"optimiser/{turn}/").items():
        index, _, key = name.partition("/")
        if not index.isdecimal() or int(index) >= len(shapes) or tensor.shape not in ((), shapes[int(index)]):
            raise CheckpointError(
                f"The checkpoint does not fit the recipe: optimiser/{turn}/{name} {tuple(tensor.shape)} belongs to no "
                "parameter; train into a new folder."
            )
        found.setdefault(int(index), {})[key] = tensor
    kinds = {frozenset(one) for one in found.values()}
    if len(kinds) > 1:
        uneven = sorted(frozenset.union(*kinds) - frozenset.intersection(*kinds))
        raise CheckpointError(
            f"The checkpoint does not fit the recipe: only some of optimiser/{turn} have {uneven[0]}; "
            "train into a new folder."
        )
    return found


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The first name whose tensor holds a NaN or an infinity."""
    moving = ((name, t) for name, t in tensors.items() if t.is_floating_point())
    return next((name for name, t in moving if not bool(torch.isfinite(t).all())), None)


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, by the rest of their names."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
