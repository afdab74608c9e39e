"""One batch on several processes: who holds which images, and what all of them say together.

The images of a batch are dealt out in order: rank r of N holds rows r B // N to (r + 1) B // N. What compares the
images of a batch, or draws for each of them, asks here, so that its answer is that of the whole batch on any
number of processes. A process that is alone holds all rows, and every function here then changes nothing.

A batch may also be computed in pieces, one after another, for want of memory. A piece behaves as a process would
that cannot reach the others. The same P pieces on any number of processes that divides P give gradients that are
the same to the last bit, for they are then sums of the same numbers in float64.

Notation: B images of the whole batch, b those that this process, or piece, holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from triptych.errors import UsageError
from triptych.ranks.crew import Alone, Crew, Facts, Piece

MESSAGE = 2**22  # numbers that are sent at once, for which a copy needs memory


class _Now:
    """Which crew this process belongs to at the moment, how many images it shares out, and in how many pieces."""

    crew: Crew = Alone()
    batch = 0
    pieces = 1  # of all processes


def crew() -> Crew:
    """Those among whom this process works at the moment."""
    return _Now.crew


def leads() -> bool:
    """Whether this process is the one that writes, speaks, samples and scores."""
    return _Now.crew.rank == 0


def shared() -> bool:
    """Whether a batch is not computed whole: on more than one process, or in pieces."""
    return _Now.crew.world > 1 or _Now.pieces > 1


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
def divided(batch: int, what: str = "batch", pieces: int = 1) -> Iterator[None]:
    """Share out so many images, in so many pieces; raises a `UsageError` where a process or piece would get none."""
    world = _Now.crew.world
    if batch < world:
        raise UsageError(f"{what}: {batch} images cannot be shared by {world} processes; start fewer.")
    if pieces > 1 and (pieces % world or pieces > batch):
        raise UsageError(
            f"pieces is {pieces}: {batch} images on {world} process{'es' * (world > 1)} want a multiple of {world} "
            f"that is at most {batch}."
        )
    before = _Now.batch, _Now.pieces
    _Now.batch, _Now.pieces = batch, pieces
    try:
        yield
    finally:
        _Now.batch, _Now.pieces = before


def pieces() -> int:
    """How many pieces of a batch this process computes, one after another."""
    return max(1, _Now.pieces // _Now.crew.world)


@contextmanager
def piece(index: int, held: int) -> Iterator[slice]:
    """Work on one piece of the `held` images of this process: which of them these are."""
    if _Now.pieces == 1:
        yield slice(held)
        return
    crew, start = _Now.crew, span(_Now.batch).start
    with sharing(Piece(crew.rank * pieces() + index, _Now.pieces)):
        part = span(_Now.batch)
        yield slice(part.start - start, part.stop - start)


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


def logged(x: Tensor) -> Tensor:
    """The rows that can be had for a number that is only logged: those of all processes, or of a piece its own."""
    return x if isinstance(_Now.crew, Piece) else whole(x)


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


class Gradients:
    """The gradients of parameters, added up over the pieces of this process and then over the processes."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self._sums: dict[nn.Parameter, Tensor] = {}

    def take(self) -> None:
        """Called after each piece: what it has left in the parameters is taken away, where there are more."""
        for parameter in self._parameters if _Now.pieces > 1 else ():
            if parameter.grad is not None:
                gradient, parameter.grad = parameter.grad.double(), None
                self._sums[parameter] = self._sums[parameter] + gradient if parameter in self._sums else gradient

    def give(self) -> None:
        """Let the parameters have the gradients of the whole batch."""
        held = self._sums or {p: p.grad for p in self._parameters if p.grad is not None}
        for parameter in self._parameters:
            parameter.grad = None  # so that each message frees what it has added up
        for some in messages(held, lambda p: held[p].dtype) if _Now.crew.world > 1 else ():
            flat = torch.cat([held[p].flatten() for p in some])
            _Now.crew.add(flat)
            parts = torch.split(flat, [p.numel() for p in some])
            held.update({p: part.view_as(p) for p, part in zip(some, parts, strict=True)})
        for parameter, gradient in held.items():
            parameter.grad = gradient.to(parameter.dtype)


def messages(
    parameters: Iterable[nn.Parameter], kind: Callable[[nn.Parameter], Hashable], most: int = MESSAGE
) -> Iterator[list[nn.Parameter]]:
    """Parameters in groups of one kind, each of so many numbers at most, or of one parameter that has more."""
    groups: dict[Hashable, list[nn.Parameter]] = {}
    sizes = Counter[Hashable]()
    for parameter in parameters:
        group = kind(parameter)
        if sizes[group] and sizes[group] + parameter.numel() > most:
            yield groups.pop(group)
            sizes[group] = 0
        groups.setdefault(group, []).append(parameter)
        sizes[group] += parameter.numel()
    yield from groups.values()


def averaged(told: Sequence[tuple[Mapping[str, Tensor], float]]) -> Mapping[str, Tensor]:
    """Scalars as means over the whole batch of what they are on each piece, beside its share of the batch."""
    (numbers, _), *more = told
    if _Now.crew.world == 1 and not more:
        return numbers
    place = next(iter(numbers.values())).device
    shares = torch.stack(
        [torch.stack([value.to(place, torch.float64) for value in each.values()]) * share for each, share in told]
    ).sum(0)
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
