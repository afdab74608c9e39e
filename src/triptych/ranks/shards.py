"""Who keeps what: on several processes, the moments and the average of a parameter may be kept by its owner alone.

Weights are whole on every process, and so are gradients from the backward pass to the step. Each owner then moves its
parameters by its moments, and sends them to the others (Rajbhandari et al. 2020, arXiv:1910.02054, section 5.1, stage
1, which here includes averages). A parameter has one owner and is not cut, so that every number is what it would be on
a process that keeps all. Losses may be differentiated as often as they like: nothing of this happens in them.

Of 16 bytes for each float32 parameter with Adam and an average, N processes keep 4 + 12 / N each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from triptych.errors import UsageError
from triptych.ranks.crew import Alone, Crew, Named
from triptych.ranks.rows import crew, messages

Parameters = Iterable[nn.Parameter]


def crew_for(shards: bool) -> Crew:
    """Those among whom moments and averages are dealt out; raises a `UsageError` where there is nobody else."""
    if not shards:
        return Alone()
    if crew().world == 1:
        raise UsageError(
            "--shard deals out what several processes keep, and this is one; start more "
            "(torchrun --nproc-per-node N -m triptych train ...), or leave it out."
        )
    return crew()


class Shards:
    """The owner of each parameter: the largest first, each to whoever has least to keep so far.

    `sizes` are the bytes to keep for each. No process keeps more than its even share and one parameter besides. What
    was not dealt out is kept by all; on one process that is everything.
    """

    def __init__(self, sizes: Mapping[nn.Parameter, int], crew: Crew) -> None:
        self._crew, self._owners = crew, dict[Tensor, int]()
        loads = [0] * crew.world
        for parameter in sorted(sizes, key=lambda one: -sizes[one]) if crew.world > 1 else ():
            owner = loads.index(min(loads))
            self._owners[parameter] = owner
            loads[owner] += sizes[parameter]

    def keeps(self, parameter: Tensor) -> bool:
        """Whether its moments and average are kept by this process."""
        return self._owners.get(parameter, self._crew.rank) == self._crew.rank

    def alone(self, parameter: Tensor) -> bool:
        """Whether they are kept by this process and no other."""
        return self._owners.get(parameter) == self._crew.rank

    @property
    def dealt(self) -> bool:
        """Whether anything is kept by one process alone."""
        return bool(self._owners)

    @torch.no_grad()
    def send_round(self, parameters: Parameters) -> None:
        """Let every process have the parameters as their owners have them, in messages of one owner and type."""
        dealt = (p for p in parameters if p in self._owners)
        for some in messages(dealt, lambda p: (self._owners[p], p.dtype)):
            flat = torch.cat([p.flatten() for p in some])
            self._crew.broadcast(flat, self._owners[some[0]])
            for parameter, part in zip(some, torch.split(flat, [p.numel() for p in some]), strict=True):
                parameter.copy_(part.view_as(parameter))

    def hand_in(self, tensors: Named) -> dict[str, Tensor]:
        """On rank 0 the tensors of all others by name, on the CPU; `tensors` are those of this process alone."""
        return {
            name: tensor
            for rank in range(1, self._crew.world)
            for name, tensor in self._crew.handed_in(tensors, rank).items()
        }

    def fetched(self, what: int) -> dict[str, Tensor]:
        """On rank 0, while the others wait at `most`: what they hand in when called.

        In a thread of its own, for a signal that gives up a chore must not leave the others with half a message.
        """

        def fetch() -> dict[str, Tensor]:
            self._crew.call(what)
            return self.hand_in({})

        if not self.dealt:
            return {}
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(fetch).result()


KEPT_BY_ALL = Shards({}, Alone())
