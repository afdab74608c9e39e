"""Functions of images seen: what a learning rate, a weight or a probability is multiplied by.

A ramp is a `Callable[[int], float]`; each function here makes one. Images seen are the only clock,
so a schedule survives a change of batch size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

Ramp = Annotated[Callable[[int], float], "ramp"]


def always(seen: int) -> float:
    """1 for ever."""
    return 1.0


def warm_up(images: int = 10_000, start: float = 0.0) -> Ramp:
    """From `start` to 1 in a straight line over the first `images`, then 1."""
    return lambda seen: 1.0 if seen >= images else start + (1.0 - start) * seen / images


def delayed(images: int, over: int = 0) -> Ramp:
    """0 for the first `images`, then a straight line to 1 over the next `over` images, then 1."""
    return lambda seen: 0.0 if seen < images else 1.0 if seen >= images + over else (seen - images) / over


def linear(images: int, warm: int = 0, end: float = 0.0) -> Ramp:
    """Up to 1 over `warm` images, then down a straight line to `end` at `images`, then `end`."""

    def ramp(seen: int) -> float:
        if seen < warm:
            return seen / warm
        return 1.0 + (end - 1.0) * min((seen - warm) / max(images - warm, 1), 1.0)

    return ramp


def cosine(images: int, warm: int = 0, end: float = 0.0) -> Ramp:
    """Up to 1 over `warm` images, then down a half cosine to `end` at `images`, then `end`."""

    def ramp(seen: int) -> float:
        if seen < warm:
            return seen / warm
        way = min((seen - warm) / max(images - warm, 1), 1.0)
        return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * way))

    return ramp


def inverse_root(images: int, warm: int = 0) -> Ramp:
    """Up to 1 over `warm` images, 1 until `images`, then sqrt(images / seen) (Karras 2024, B.3)."""

    def ramp(seen: int) -> float:
        if seen < warm:
            return seen / warm
        return math.sqrt(images / max(seen, images))

    return ramp


def cyclical(images: int, rise: float = 0.5) -> Ramp:
    """In rounds of `images`: from 0 to 1 over the first share `rise`, then 1 (Fu et al. 2019, arXiv:1903.10145)."""
    return lambda seen: min(1.0, (seen % images) / (rise * images))
