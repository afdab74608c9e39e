"""One batch on several processes: who holds which images, and what all of them say together.

The images of a batch are dealt out in order: rank r of N holds rows r B // N to (r + 1) B // N. What compares the
images of a batch, or draws for each of them, asks here, so that its answer is that of the whole batch on any
number of processes. A process that is alone holds all rows, and every function here then changes nothing.

Notation: B images of the whole batch, b those that this process holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from triptych.errors import UsageError

Facts = Callable[[], Mapping[str, str]]  # what they are about, and what they are


class Crew(Protocol):
    """The processes of a run, as one of them sees them."""

    rank: int
    world: int

    def add(self, x: Tensor) -> None:
        """Replace x by its sum over all ranks; of one shape on each."""
        ...

    def most(self, number: int) -> int:
        """The largest of the numbers that the ranks give; nobody goes on before all have come."""
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

    def most(self, number: int) -> int:
        return number

    def aside(self, yes: bool) -> None:
        return None

    def compare(self, facts: Facts) -> None:
        return None


class _Now:
    """Which crew this process belongs to at the moment, and how many images it shares out."""

    crew: Crew = Alone()
    batch = 0


def leads() -> bool:
    """Whether this process is the one that writes, speaks, samples and scores."""
    return _Now.crew.rank == 0


def shared() -> bool:
    """Whether there is more than one process."""
    return _Now.crew.world > 1


def most(number: int) -> int:
    """The largest number that a rank gives: what one of them wishes, all do."""
    return _Now.crew.most(number)


def compare(facts: Facts) -> None:
    """Make sure that all ranks have the same facts; raises a `RankError` that names those that have others."""
    _Now.crew.compare(facts)


@contextmanager
def sharing(crew: Crew) -> Iterator[None]:
    """Belong to `crew`."""
    before, _Now.crew = _Now.crew, crew
    try:
        yield
    finally:
        _Now.crew = before


@contextmanager
def divided(batch: int, what: str = "batch") -> Iterator[None]:
    """Share out so many images; raises a `UsageError` where a process would get none."""
    if batch < _Now.crew.world:
        raise UsageError(f"{what}: {batch} images cannot be shared by {_Now.crew.world} processes; start fewer.")
    before, _Now.batch = _Now.batch, batch
    try:
        yield
    finally:
        _Now.batch = before


@contextmanager
def aside() -> Iterator[None]:
    """Work as one process would, such as at a grid of samples, while the others wait."""
    crew = _Now.crew
    crew.aside(True)
    try:
        with sharing(Alone()):
            yield
    finally:
        crew.aside(False)


@contextmanager
def on_each() -> Iterator[None]:
    """Work on rows that are no images of the batch, and the same on every process, such as learned ones."""
    with sharing(Alone()):
        yield


@contextmanager
def in_turn() -> Iterator[None]:
    """The body as one process would do it: first rank 0, which may write what the others then find."""
    crew = _Now.crew
    if crew.rank:
        crew.most(0)
    with aside():
        yield
    if not crew.rank:
        crew.most(0)


def span(count: int) -> slice:
    """This process's share of so many rows."""
    rank, world = _Now.crew.rank, _Now.crew.world
    return slice(rank * count // world, (rank + 1) * count // world)


def count(held: int) -> int:
    """B, of which this process holds `held` images."""
    if _Now.crew.world == 1:
        return held
    part = span(_Now.batch)
    if held != part.stop - part.start:
        raise ValueError(f"{held} rows are no share of {_Now.batch} on {_Now.crew.world} processes.")
    return _Now.batch


def own(x: Tensor) -> Tensor:
    """The rows (b, ...) of this process out of (B, ...)."""
    return x if _Now.crew.world == 1 else x[span(len(x))]


def whole(x: Tensor) -> Tensor:
    """The rows of all processes, (B, ...), of those that each holds, (b, ...); twice differentiable."""
    if _Now.crew.world == 1:
        return x
    part, rows = span(count(len(x))), [0] * (2 * (x.ndim - 1))
    return total(nn.functional.pad(x, [*rows, part.start, _Now.batch - part.stop]))


def first(x: Tensor, some: int) -> Tensor:
    """The first `some` of the B rows, shared out anew: this process's part of them."""
    return own(whole(x)[:some])


def total(x: Tensor) -> Tensor:
    """The sum of x over the processes; twice differentiable, as a loss of all processes goes down it."""
    return x if _Now.crew.world == 1 else _Total.apply(x, _Now.crew)  # type: ignore[no-any-return, no-untyped-call]


def draw(make: Callable[[int], Tensor], held: int) -> Tensor:
    """What `make(B)` draws from a default generator for the whole batch, of which this process keeps its rows.

    All processes draw the same numbers, so each image gets those that one process would give it.
    """
    return own(make(count(held)))


def weight(held: int) -> float:
    """The share of the batch that this process holds."""
    return held / count(held)


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Make the gradients those of the whole batch, in one message for each type."""
    kinds: dict[torch.dtype, list[Tensor]] = {}
    for gradient in (p.grad for p in parameters if p.grad is not None):
        kinds.setdefault(gradient.dtype, []).append(gradient)
    if _Now.crew.world == 1:
        return
    for gradients in kinds.values():
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        _Now.crew.add(flat)
        for gradient, summed in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))


def averaged(numbers: Mapping[str, Tensor], held: int) -> Mapping[str, Tensor]:
    """Scalars as means over the whole batch of what they are on each process's images."""
    if _Now.crew.world == 1:
        return numbers
    place = next(iter(numbers.values())).device
    shares = torch.stack([value.to(place, torch.float64) for value in numbers.values()]) * weight(held)
    _Now.crew.add(shares)
    return dict(zip(numbers, shares.unbind(), strict=True))


class _Total(torch.autograd.Function):
    """A sum over processes, whose gradient is the sum over processes of their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, crew: Crew) -> Tensor:
        ctx.crew = crew
        y = x.detach().clone(memory_format=torch.contiguous_format)
        crew.add(y)
        return y

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        return _Total.apply(slopes[0], ctx.crew), None  # type: ignore[no-untyped-call]
