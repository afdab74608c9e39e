"""Chance is an argument: every random number follows from a key, never from history.

Training noise is keyed by (seed, images seen, purpose): resuming a run needs no stored generator
state. A generated image is keyed by its own seed alone: the batch around it does not matter.
Numbers are drawn on the CPU in float32 and then moved, so that a device draws what a CPU draws.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import dropout

from triptych import ranks

Part = int | str
FLOAT = torch.float32  # of all that is drawn, whatever the default: in float64 a seed gives other numbers


def key(*parts: Part) -> int:
    """A 63-bit number that depends on every part and on their order."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*parts: Part) -> torch.Generator:
    """A CPU generator seeded by `key(*parts)`."""
    return torch.Generator().manual_seed(key(*parts))


def noise(x: Tensor, *shape: int) -> Tensor:
    """Standard normal noise (B, *shape) for each row of a batch x in training, of its type; without `shape` like x."""
    shape = shape or tuple(x.shape[1:])
    return ranks.draw(lambda n: torch.randn(n, *shape, device=x.device, dtype=x.dtype), len(x))


def uniform(x: Tensor, *shape: int) -> Tensor:
    """Uniform numbers in [0, 1), (B, *shape), for each row of a batch x in training."""
    return ranks.draw(lambda n: torch.rand(n, *shape, device=x.device), len(x))


def integers(x: Tensor, low: int, high: int, *shape: int) -> Tensor:
    """Integers in [low, high), (B, *shape), for each row of a batch x in training."""
    return ranks.draw(lambda n: torch.randint(low, high, (n, *shape), device=x.device), len(x))


def kept(x: Tensor, p: float) -> Tensor:
    """What each value of a batch x (B, ...) in training is multiplied by: 0 with probability p, else 1 / (1 - p).

    CPUs draw slowly: there four values at a time follow one number of 64 bits, and p is met to 2^-16.
    """
    strides = torch.empty_like(x).stride()  # chance goes through memory in its order, channels last or not

    def drawn(n: int) -> Tensor:
        shape = (n, *x.shape[1:])
        if x.device.type != "cpu":
            return dropout(x.new_empty_strided(shape, strides).fill_(1), p)
        numbers = torch.randint(-(2**63), 2**63 - 1, (-(-math.prod(shape) // 4),))
        high = numbers.view(torch.int16)[: math.prod(shape)] >= round(2**16 * p) - 2**15
        return high.to(x.dtype).div_(1 - p).as_strided(shape, strides)

    return ranks.draw(drawn, len(x))


def reseed(*parts: Part) -> None:
    """Seed the default generators of all devices; the loop does this before each loss."""
    torch.manual_seed(key(*parts))


class Draw:
    """One generator for each image of a batch, so that image i follows seed i alone."""

    def __init__(self, seeds: Iterable[int], device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._own: Callable[[Tensor], Tensor] = lambda rows: rows
        self._parts = [(1, generator("image", int(seed))) for seed in seeds]  # images, whose numbers they are

    @classmethod
    def of_turn(cls, images: int, device: torch.device | str) -> Self:
        """Noise for a batch in training: of the default generator, which `reseed` has keyed."""
        draw = cls((), device)
        draw._parts, draw._own = [(ranks.count(images), torch.default_generator)], ranks.own
        return draw

    def __len__(self) -> int:
        return sum(images for images, _ in self._parts)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal noise, (B, *shape) float32."""
        return self._stack([torch.randn((images, *shape), generator=g, dtype=FLOAT) for images, g in self._parts])

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), (B, *shape) float32."""
        return self._stack([torch.rand((images, *shape), generator=g, dtype=FLOAT) for images, g in self._parts])

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers in [0, high), (B, *shape) int64."""
        return self._stack([torch.randint(high, (images, *shape), generator=g) for images, g in self._parts])

    def _stack(self, parts: list[Tensor]) -> Tensor:
        return self._own(torch.cat(parts)).to(self.device)
