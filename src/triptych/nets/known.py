"""What a network is told beside the noisy image: its level, its class, words about it, an image beside it.

`given["labels"]` (B,) is the class, -1 where it is not known; `given["words"]` (B, L, F) are words as vectors, of which
`given["heard"]` (B, L) are there; `given["image"]` (B, C', H, W) is shown beside the noisy image. What is absent adds
nothing, as what is not known. `given["until"]` (B,) is a level below, to which the answer is to lead; where none is
told it is the level itself.

Notation: B batch, L words, F features of a word, D = 4 * width.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from triptych.core import Given
from triptych.errors import UsageError

FEW = 256  # places; of more, their weights on each other no longer fit the cache
CALM = 0.02  # levels count for so much where a network is differentiated by them: fast waves have steep slopes


class Telling(NamedTuple):
    """How the parts of a network are told."""

    features: int  # D, of the level and all that is known, embedded
    adaptive: bool = False  # by scale and shift of a norm
    head: int | None = None  # features of a head of attention; None: one head of them all
    words: int = 0  # features of a word; 0: there are none


class Heard(NamedTuple):
    """What was told, embedded."""

    pooled: Tensor  # (B, D)
    words: Tensor | None = None  # (B, L, F)
    heard: Tensor | None = None  # (B, L) bool

    def mask(self, places: int) -> Tensor | None:
        """What each of so many places and then each word may be looked at, (B, 1, 1, places + L)."""
        if self.heard is None:
            return None
        return F.pad(self.heard, (places, 0), value=True)[:, None, None]


class Embedding(nn.Module):
    """Levels (B,) with what is known of the images to vectors (B, D), and their words."""

    def __init__(self, width: int, classes: int, words: int = 0, until: bool = False) -> None:
        super().__init__()
        self.label = nn.Embedding(1 + classes, 4 * width, padding_idx=0) if classes else None
        self.read = nn.Linear(words, 4 * width, bias=False) if words else None
        self.first, self.second = dense(2 * (width // 2), 4 * width), dense(4 * width, 4 * width)
        self.stretch = (
            nn.Sequential(dense(2 * (width // 2), 4 * width), nn.SiLU(), dense(4 * width, 4 * width)) if until else None
        )
        self.rates: Tensor
        rates = torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2))
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, level: Tensor, given: Given) -> Heard:
        e = self.second(F.silu(self.first(self.waves(level))))  # (B, D)
        if self.stretch is not None:
            e = e + self.stretch(self.waves(level - given.get("until", level)))
        if self.label is not None and "labels" in given:
            e = e + self.label(given["labels"] + 1)
        words, heard = given.get("words"), given.get("heard")
        if self.read is None or words is None or heard is None:
            return Heard(F.silu(e))
        mean = (words * heard[:, :, None]).sum(1) / heard.sum(1, keepdim=True).clamp(min=1)  # (B, F)
        return Heard(F.silu(e + self.read(mean)), words, heard)

    def waves(self, level: Tensor) -> Tensor:
        """Numbers (B,) as sines and cosines (B, width) (Vaswani et al. 2017, section 3.5)."""
        angles = (level if self.stretch is None else CALM * level)[:, None] * self.rates  # (B, width / 2)
        return torch.cat([angles.sin(), angles.cos()], 1)


def beside(x: Tensor, given: Given, channels: int) -> Tensor:
    """Noisy images (B, C, H, W) with so many channels of the image that is shown, zeros where none is."""
    if not channels:
        return x
    shown = given.get("image")
    return torch.cat([x, x.new_zeros(len(x), channels, *x.shape[2:]) if shown is None else shown.to(x)], 1)


class RmsNorm(nn.RMSNorm):
    """Root mean square norm (Zhang and Sennrich 2019, arXiv:1910.07467); like its weights float32 inside, at least."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype)


def computed(block: nn.Module, *inputs: Any, again: bool) -> Tensor:
    """What a block answers; with `again` its insides are forgotten, and computed once more for the gradients.

    (Chen et al. 2016, arXiv:1604.06174, section 3.) The chance in it, such as dropout, is then the same.
    """
    answer: Tensor = checkpoint(block, *inputs, use_reentrant=False) if again else block(*inputs)
    return answer


def heads_of(features: int, head: int | None) -> int:
    """How many heads of `head` features attention has, at least one; one for None. Raises where they do not divide."""
    heads = max(1, features // head) if head else 1
    if features % heads:
        raise UsageError(f"net.head is {head}: {features} features are no {heads} heads; give a divisor.")
    return heads


def split(rows: Tensor, parts: int, heads: int) -> Tensor:
    """Rows (B, T, parts * F) as the heads of each part, (parts, B, heads, T, F / heads)."""
    return rows.reshape(*rows.shape[:2], parts, heads, -1).permute(2, 0, 3, 1, 4)


def look(query: Tensor, key: Tensor, value: Tensor, words: Tensor | None, e: Heard) -> Tensor:
    """Attention of places (B, heads, T, d) to each other and to the words that are heard, as rows (B, T, heads * d).

    (Vaswani et al. 2017, arXiv:1706.03762, equation 1.) `words` (2, B, heads, L, d) are keys and values beside those
    of the places (Saharia et al. 2022, arXiv:2205.11487, appendix D.3.1).
    """
    mask = None
    if words is not None:
        mask = e.mask(key.shape[2])  # (B, 1, 1, T + L)
        key, value = torch.cat([key, words[0]], 2), torch.cat([value, words[1]], 2)
    return attention(query, key, value, mask).transpose(1, 2).flatten(2)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V, of (B, heads, T, d) each; in bfloat16 on CPUs the products are faster one by one."""
    one_by_one = mask is None and query.dtype == torch.bfloat16 and query.device.type == "cpu" and key.shape[2] <= FEW
    if not one_by_one:
        return F.scaled_dot_product_attention(query, key, value, mask)
    answer: Tensor = (query * query.shape[-1] ** -0.5 @ key.transpose(2, 3)).softmax(3) @ value
    return answer


def dense(inner: int, outer: int) -> nn.Linear:
    """A linear layer."""
    layer = nn.Linear(inner, outer)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all weights at zero, so that what it adds is nothing at first."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
