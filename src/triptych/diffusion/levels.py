"""At which levels a network is taught: distributions of s, each with the factor that keeps the loss unbiased.

Notation: B images; s their levels, drawn within `table`, the rising levels of a path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from triptych import ranks
from triptych.diffusion.paths import place
from triptych.errors import UsageError


class Drawn(NamedTuple):
    """Levels (B,), and the factor (B,) of each image's loss."""

    s: Tensor
    factor: Tensor


class Levels(nn.Module, ABC):
    """A distribution of levels; what it learns of the losses is its state."""

    @abstractmethod
    def draw(self, count: int, table: Tensor) -> Drawn:
        """So many levels, each from table[0] to table[-1]."""

    def follow(self, s: Tensor, losses: Tensor, table: Tensor) -> None:
        """Learn of the losses (B,) at levels s (B,), before their factors; most distributions do not."""


class Uniform(Levels):
    """Each level of the table as often as any other (Ho et al. 2020, arXiv:2006.11239, algorithm 1)."""

    def draw(self, count: int, table: Tensor) -> Drawn:
        s = table[ranks.draw(lambda n: torch.randint(len(table), (n,), device=table.device), count)]
        return Drawn(s, torch.ones_like(s))


class Normal(Levels):
    """ln s ~ N(mean, deviation^2) (Karras et al. 2022, arXiv:2206.00364, table 1).

    On the straight path t = s / (1 + s) has logit ln s: this is the logit-normal of Esser et al. (2024,
    arXiv:2403.03206, section 3.1) too. What falls outside the table is moved to its end.
    """

    def __init__(self, mean: float, deviation: float) -> None:
        super().__init__()
        if not deviation > 0:
            raise UsageError(f"levels.deviation is {deviation}: give a number above 0.")
        self.mean, self.deviation = mean, deviation

    def draw(self, count: int, table: Tensor) -> Drawn:
        n = ranks.draw(lambda n: torch.randn(n, device=table.device), count)
        s = (self.mean + self.deviation * n).exp().to(table).clamp(table[0], table[-1])
        return Drawn(s, torch.ones_like(s))


class Importance(Levels):
    """Levels in proportion to the root of their mean square loss.

    (Nichol and Dhariwal 2021, arXiv:2102.09672, equation 18.) The table is cut into `bins` of as many levels
    each. Of each bin the mean square of the losses is followed, about `memory` of its losses long; a share
    `even` of the draws pays no heed to it. The factor is the uniform distribution's density over this one's,
    so that the expected loss stays what it was.
    """

    def __init__(self, bins: int = 50, memory: int = 500, even: float = 0.1) -> None:
        super().__init__()
        if bins < 1 or memory < 1 or not 0 < even <= 1:
            raise UsageError(
                f"levels: bins {bins}, memory {memory}, even {even}: give 1 or more bins and memory, even in (0, 1]."
            )
        self.memory, self.even = memory, even
        self.square: Tensor
        self.seen: Tensor
        self.register_buffer("square", torch.ones(bins))
        self.register_buffer("seen", torch.zeros(bins, dtype=torch.int64))

    def shares(self) -> Tensor:
        """How likely each bin is drawn, (bins,)."""
        root = torch.where(self.seen > 0, self.square, self.square.max()).sqrt()
        return (1 - self.even) * root / root.sum() + self.even / len(root)

    def draw(self, count: int, table: Tensor) -> Drawn:
        shares = self.shares()
        bins = ranks.draw(lambda n: torch.multinomial(shares, n, replacement=True), count)
        inside = ranks.draw(lambda n: torch.rand(n, device=bins.device), count)
        within = (bins + inside) / len(shares)  # even in the bin, in [0, 1)
        s = table[(within * len(table)).long()]
        return Drawn(s, 1 / (len(shares) * shares[bins]))

    @torch.no_grad()
    def follow(self, s: Tensor, losses: Tensor, table: Tensor) -> None:
        s, losses = ranks.whole(s), ranks.whole(losses)
        bins = ((place(table, s).round() + 0.5) / len(table) * len(self.square)).long()
        hits = bins.bincount(minlength=len(self.square))
        sums = torch.zeros_like(self.square).index_add_(0, bins, losses.square().to(self.square))
        self.seen += hits
        weight = hits / self.seen.clamp(min=1, max=self.memory).maximum(hits)
        self.square.lerp_(sums / hits.clamp(min=1), weight)


def uniform() -> Levels:
    """Each level of the path as often as any other."""
    return Uniform()


def log_normal(mean: float = -1.2, deviation: float = 1.2) -> Levels:
    """ln s normal, with the values of Karras et al. (2022, table 1)."""
    return Normal(mean, deviation)


def logit_normal(mean: float = 0.0, deviation: float = 1.0) -> Levels:
    """logit t normal for t = s / (1 + s), with the values of Esser et al. (2024, section 5.1)."""
    return Normal(mean, deviation)


def importance(bins: int = 50, memory: int = 500, even: float = 0.1) -> Levels:
    """Levels whose loss is large more often."""
    return Importance(bins, memory, even)
