"""Numbers that are not finite, put into the memory of a run that is otherwise the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def at_step(nth: int, deed: Callable[[], None]) -> None:
    """Do something before the average follows for the nth time."""
    _before("triptych.training.ema", "Ema", "follow", nth, lambda ema, *args: deed())


def _before(module: str, owner: str, method: str, nth: int, deed: Callable[..., None], after: bool = False) -> None:
    """At the nth call of a method, do something to its owner and arguments first; or last."""
    from importlib import import_module

    kind = getattr(import_module(module), owner)
    real, calls = getattr(kind, method), 0

    def wrapped(*args: Any, **how: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and not after:
            deed(*args)
        result = real(*args, **how)
        if calls == nth and after:
            deed(*args, result)
        return result

    setattr(kind, method, wrapped)


def _spoil(tensor: Any, value: float) -> None:
    tensor.detach().view(-1)[0] = value


def batch(value: float, nth: int) -> None:
    def deed(stream: Any, seen: int, made: Any) -> None:
        _spoil(made.images, value)

    _before("triptych.data.stream", "Stream", "batch", nth, deed, after=True)


def gradient(value: float, nth: int) -> None:
    def deed(optimiser: Any, seen: int) -> None:
        _spoil(next(p.grad for p in optimiser.parameters if p.grad is not None), value)

    _before("triptych.training.optimisers", "Optimiser", "step", nth, deed)


def weight(value: float, nth: int) -> None:
    def deed(optimiser: Any, seen: int, norm: Any) -> None:
        _spoil(optimiser.parameters[0], value)

    _before("triptych.training.optimisers", "Optimiser", "step", nth, deed, after=True)


def moment(value: float, nth: int) -> None:
    def deed(optimiser: Any, seen: int, norm: Any) -> None:
        _spoil(next(iter(optimiser.torch.state.values()))["exp_avg_sq"], value)

    _before("triptych.training.optimisers", "Optimiser", "step", nth, deed, after=True)


def average(value: float, nth: int) -> None:
    def deed(ema: Any, size: int, seen: int, nothing: Any) -> None:
        _spoil(ema._means[0], value)

    _before("triptych.training.ema", "Ema", "follow", nth, deed, after=True)


PLACES: dict[str, Callable[[float, int], None]] = {
    "a batch": batch,
    "a gradient": gradient,
    "a weight": weight,
    "a moment of the optimiser": moment,
    "the average": average,
}
