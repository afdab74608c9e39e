"""The processes of a run, as one of them sees them: what they say to each other, and to nobody where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from torch import Tensor

from triptych.errors import UsageError

Facts = Callable[[], Mapping[str, str]]  # what they are about, and what they are
Named = Mapping[str, Tensor]


class Crew(Protocol):
    """What one process can do with all others; each call is a meeting to which all come."""

    rank: int
    world: int

    def add(self, x: Tensor) -> None:
        """Replace x by its sum over all ranks; of one shape on each."""
        ...

    def broadcast(self, x: Tensor, source: int) -> None:
        """Replace x by that of rank `source`; of one shape on each."""
        ...

    def handed_in(self, tensors: Named, source: int) -> Named:
        """On rank 0 the tensors of rank `source` by name, on the CPU; elsewhere none."""
        ...

    def most(self, number: int) -> int:
        """The largest of the numbers that the ranks give; nobody goes on before all have come."""
        ...

    def call(self, what: int) -> None:
        """On rank 0: let the others, who wait at `most`, answer, and then wait on."""
        ...

    def on_call(self, answer: Callable[[int], None]) -> None:
        """What this process does when rank 0 calls: `answer(what)`."""
        ...

    def aside(self, yes: bool) -> None:
        """Note that this process does what is not training, for which the others wait longer."""
        ...

    def compare(self, facts: Facts) -> None:
        """Raise a `RankError` that names the ranks whose facts are not those of rank 0."""
        ...


class Alone:
    """One process: all rows are its own."""

    rank, world = 0, 1

    def add(self, x: Tensor) -> None:
        return None

    def broadcast(self, x: Tensor, source: int) -> None:
        return None

    def handed_in(self, tensors: Named, source: int) -> Named:
        return {}

    def most(self, number: int) -> int:
        return number

    def call(self, what: int) -> None:
        return None

    def on_call(self, answer: Callable[[int], None]) -> None:
        return None

    def aside(self, yes: bool) -> None:
        return None

    def compare(self, facts: Facts) -> None:
        return None


class Piece:
    """One of several pieces of a batch: what its images have in common with the others cannot be known."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world = rank, world

    def add(self, x: Tensor) -> None:
        raise UsageError(
            f"pieces is {self.world}, but something of this recipe compares all images of a batch (such as batch norm, "
            "minibatch deviation, free bits, books of codes or transport); set pieces=1 and a smaller batch."
        )

    broadcast, handed_in, call, on_call = Alone.broadcast, Alone.handed_in, Alone.call, Alone.on_call
    most, aside, compare = Alone.most, Alone.aside, Alone.compare
