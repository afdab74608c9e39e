"""Quantisers: features of a grid become codes out of a finite book, and vectors again.

Both kinds pass gradients straight through: the decoder's gradient at the vectors becomes the encoder's at what
was rounded. Chance is that of the turn in which a quantiser follows; in eval mode nothing moves.

Notation: B batch, D features, h w grid sides, K codes, N = B h w encodings; z encodings (B, D, h, w), e a code's
vector (D,).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from triptych import ranks
from triptych.errors import UsageError


class Quantised(NamedTuple):
    """What became of encodings."""

    vectors: Tensor  # (B, D, h, w): what the decoder is shown; its gradient passes on to the encodings
    codes: Tensor  # (B, h, w) int64 in [0, K)
    commitment: Tensor  # (B,): how far the encodings are from their vectors


class BaseQuantiser(nn.Module, ABC):
    """A book of K codes (`codes`) for encodings of D features (`features`)."""

    codes: int
    features: int

    @abstractmethod
    def forward(self, z: Tensor) -> Quantised:
        """Encodings (B, D, h, w) to vectors, codes and commitment; changes nothing."""

    @abstractmethod
    def vectors(self, codes: Tensor) -> Tensor:
        """Codes (B, h, w) to their vectors (B, D, h, w)."""

    def follow(self, z: Tensor, codes: Tensor) -> None:
        """Let the book learn from encodings and the codes that they were given; only in training."""
        return None


Quantiser = Annotated[BaseQuantiser, "quantiser"]


class VectorQuantiser(BaseQuantiser):
    """The nearest of K learned vectors (van den Oord et al. 2017, arXiv:1711.00937, section 3.1).

    The book is the moving average, with `decay` a step, of the encodings that chose each code (appendix A.1,
    equations 6 to 8). The paper's decay is 0.99; a book so slow falls behind an encoder in its first steps, and
    few codes are then chosen. A code chosen less often than `revive` times its even share starts again at a
    random encoding of the batch; so do all of them in the first step.
    """

    def __init__(self, codes: int = 512, features: int = 64, decay: float = 0.95, revive: float = 0.1) -> None:
        super().__init__()
        if codes < 2 or features < 1 or not 0 <= decay < 1 or not 0 <= revive < 1:
            raise UsageError(
                f"A vector quantiser has codes {codes}, features {features}, decay {decay}, revive {revive}: "
                "give 2 codes or more, 1 feature or more, and shares in [0, 1)."
            )
        self.codes, self.features, self.decay, self.revive = codes, features, decay, revive
        self.counts: Tensor
        self.sums: Tensor
        self.register_buffer("counts", torch.zeros(codes))  # (K,) encodings a step, on average
        self.register_buffer("sums", torch.zeros(codes, features))  # (K, D) of those encodings

    def book(self) -> Tensor:
        """The vector of each code, (K, D)."""
        return self.sums / self.counts.clamp(min=1e-12)[:, None]

    def forward(self, z: Tensor) -> Quantised:
        codes = torch.cdist(_rows(z).detach(), self.book()).argmin(1).view(len(z), *z.shape[2:])
        chosen = self.vectors(codes)
        commitment = (z - chosen).square().flatten(1).mean(1)  # equation 3, third term, a mean over values
        return Quantised(_straight(z, chosen), codes, commitment)

    def vectors(self, codes: Tensor) -> Tensor:
        return self.book()[codes].movedim(-1, 1)

    @torch.no_grad()
    def follow(self, z: Tensor, codes: Tensor) -> None:
        if not self.training:
            return
        rows, chosen = _rows(ranks.whole(z)), ranks.whole(codes).flatten()  # (N, D), (N,)
        fresh = torch.zeros_like(self.counts).index_add(0, chosen, torch.ones_like(rows[:, 0]))
        self.counts.lerp_(fresh, 1 - self.decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add(0, chosen, rows), 1 - self.decay)
        share = len(rows) / self.codes
        dead = self.counts <= self.revive * share  # (K,)
        picked = rows[torch.randint(len(rows), (self.codes,), device=rows.device)]  # drawn for every code
        self.counts.copy_(torch.where(dead, share, self.counts))
        self.sums.copy_(torch.where(dead[:, None], share * picked, self.sums))


class FiniteScalarQuantiser(BaseQuantiser):
    """Each of D features rounded to one of a few levels (Mentzer et al. 2023, arXiv:2309.15505, section 3.1).

    A feature is bounded by tanh and rounded to `levels[d]` even steps from -1 to 1; a code is the number that the
    D steps spell. Nothing is learned and nothing can die. Even numbers of levels lie about 0, where the paper
    shifts them by half a step.
    """

    def __init__(self, levels: tuple[int, ...] = (8, 5, 5, 5)) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise UsageError(f"levels is {list(levels)}: give two levels or more for each feature, such as [8, 5, 5].")
        self.codes, self.features = math.prod(levels), len(levels)
        self.last: Tensor
        self.weights: Tensor
        self.register_buffer("last", torch.tensor(levels).view(-1, 1, 1) - 1, persistent=False)  # (D, 1, 1)
        weights = [math.prod(levels[:d]) for d in range(len(levels))]  # the value of each digit
        self.register_buffer("weights", torch.tensor(weights).view(-1, 1, 1), persistent=False)

    def forward(self, z: Tensor) -> Quantised:
        bounded = z.to(torch.promote_types(z.dtype, torch.float32)).tanh()  # (B, D, h, w) in [-1, 1]
        digits = ((bounded + 1) / 2 * self.last).round().long()
        codes = (digits * self.weights).sum(1)
        return Quantised(_straight(bounded, self._spread(digits)), codes, z.new_zeros(len(z)))

    def vectors(self, codes: Tensor) -> Tensor:
        return self._spread(codes[:, None] // self.weights % (self.last + 1))

    def _spread(self, digits: Tensor) -> Tensor:
        """Digits (B, D, h, w) to values in [-1, 1]."""
        values: Tensor = 2 * digits / self.last - 1
        return values


def perplexity(codes: Tensor, kinds: int) -> Tensor:
    """How many codes are in use, exp of the entropy of their shares: 1 is a collapse, K an even use."""
    shares = torch.bincount(codes.flatten(), minlength=kinds) / codes.numel()  # (K,)
    spread: Tensor = torch.special.entr(shares).sum().exp()
    return spread


def _rows(z: Tensor) -> Tensor:
    """(B, D, h, w) to (N, D), in float32 at least."""
    return z.to(torch.promote_types(z.dtype, torch.float32)).movedim(1, -1).flatten(0, -2)


def _straight(z: Tensor, vectors: Tensor) -> Tensor:
    """`vectors` with the gradient of `z` (van den Oord et al. 2017, section 3.2)."""
    return z + (vectors - z).detach()
