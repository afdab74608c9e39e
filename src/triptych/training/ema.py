"""The moving average of a model's weights, which is what is sampled, saved and shipped."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from triptych.core import Model
from triptych.ranks import Shards


class Ema:
    """A copy of `model` that follows it with a half-life counted in images.

    The half-life is at most `ramp_up` times the images seen, so that the average forgets the first
    weights (Karras et al. 2024, arXiv:2312.02696, section 3.1 discusses the choice). Buffers of
    floating point, such as the statistics of batch norm, are averaged too; others are copied.
    """

    def __init__(self, model: Model, half_life: int, ramp_up: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.half_life, self.ramp_up = half_life, ramp_up
        live, mean = (list(one.state_dict(keep_vars=True).values()) for one in (model, self.model))
        self._pairs = list(zip(mean, live, strict=True))
        moving = [pair for pair in self._pairs if pair[0].is_floating_point()]
        self._means, self._lives = [mean for mean, _ in moving], [live for _, live in moving]
        self._copied = [pair for pair in self._pairs if not pair[0].is_floating_point()]
        self._absent: list[Tensor] = []

    def shard(self, shards: Shards) -> None:
        """Keep the averages of those parameters alone that are dealt to this process."""
        kept = [pair for pair in zip(self._means, self._lives, strict=True) if shards.keeps(pair[1])]
        self._means, self._lives = [mean for mean, _ in kept], [live for _, live in kept]
        self._absent = [mean for mean, live in self._pairs if not shards.keeps(live)]
        self._empty()

    @contextmanager
    def room(self) -> Iterator[None]:
        """Memory for the averages that are not kept here, for so long; what is in it follows from who fills it."""
        try:
            for mean in self._absent:
                mean.untyped_storage().resize_(mean.nbytes)
            yield
        finally:
            self._empty()

    def _empty(self) -> None:
        for mean in self._absent:
            mean.untyped_storage().resize_(0)  # which keeps names and shapes; to look at it is an error

    def decay(self, batch: int, seen: int) -> float:
        """What is kept of the average in a step of `batch` images after `seen`."""
        half_life = min(float(self.half_life), self.ramp_up * seen)
        return 0.5 ** (batch / half_life) if half_life > 0 else 0.0

    @torch.no_grad()
    def lag(self) -> float:
        """The distance of the averaged weights from the model's, as a share of the size of these."""
        pairs = [(mean, live) for mean, live in self._pairs if isinstance(live, nn.Parameter)]
        apart = sum(float((mean - live).double().square().sum()) for mean, live in pairs)
        size = sum(float(live.double().square().sum()) for _, live in pairs)
        return float((apart / max(size, 1e-300)) ** 0.5)

    @torch.no_grad()
    def follow(self, batch: int, seen: int) -> None:
        """Move towards the model by one step, all tensors in one call: a GPU then needs few kernels for hundreds."""
        if self._means:  # where a small model is dealt out, some process may keep nothing of it
            torch._foreach_lerp_(self._means, self._lives, 1.0 - self.decay(batch, seen))
        for mean, live in self._copied:
            mean.copy_(live)
