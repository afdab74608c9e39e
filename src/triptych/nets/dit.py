"""A transformer over patches, told the level by its norms (Peebles and Xie 2023, arXiv:2212.09748, section 3.2).

Norms are root mean squares (Zhang and Sennrich 2019, arXiv:1910.07467), queries and keys are normed too (Henry et
al. 2020, arXiv:2010.04245), and places are told by turning them (Su et al. 2021, arXiv:2104.09864): half of a head's
features by the row, half by the column, so that attention knows offsets alone.

Notation: B batch, C channels, H W sides, p patch, T = ceil(H / p) * ceil(W / p) tokens, D width, d features of a head.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.core import NOTHING, Given, Shape
from triptych.errors import UsageError
from triptych.nets.dropout import Dropout
from triptych.nets.known import Embedding, Heard, RmsNorm, beside, computed, dense, look, split, zeroed

SLOWEST = 100.0  # how many times slower the slowest pair of features turns than the fastest


class PatchTransformer(nn.Module):
    """Noisy images (B, C, H, W) and what stands for their noise levels (B,) to (B, C, H, W).

    `depth` blocks of `width` features over patches of `patch` x `patch` pixels; sides that a patch does not divide are
    filled up with zeros. With `bottleneck` a patch becomes a token by way of so few features (Li and He 2025,
    arXiv:2511.13720, section 4.4: large patches of pixels, x predicted). Of `classes`, `words`, `shown` images and
    `until` it is told as `known.py` says. With `checkpointing` blocks
    are computed twice in a training step, for less memory. Each block is the identity at first, and the output zero.
    """

    def __init__(
        self,
        image_shape: Shape,
        classes: int = 0,
        width: int = 192,
        depth: int = 6,
        heads: int = 3,
        patch: int = 2,
        bottleneck: int | None = None,
        dropout: float = 0.0,
        until: bool = False,
        checkpointing: bool = False,
        words: int = 0,
        shown: int = 0,
    ) -> None:
        super().__init__()
        if min(width, depth, heads, patch) < 1 or width % (4 * heads) or not 0 <= dropout < 1:
            raise UsageError(
                f"No transformer has width {width}, depth {depth}, heads {heads}, patch {patch}, dropout {dropout}: "
                "give 1 or more of each, a width that 4 times the heads divide, dropout in [0, 1)."
            )
        channels, self.patch, self.shown, self.until = image_shape[0], patch, shown, until
        self.checkpointing = checkpointing
        self.pairs = width // heads // 4  # of features of a head that turn by the row, and as many by the column
        values = (channels + shown) * patch * patch
        narrow = (dense(values, bottleneck), dense(bottleneck, width)) if bottleneck else (dense(values, width),)
        self.embed = Embedding(width // 4, classes, words, until)
        self.enter = nn.Sequential(*narrow)
        self.blocks = nn.ModuleList(Block(width, heads, dropout, words) for _ in range(depth))
        self.norm, self.tell = RmsNorm(width, elementwise_affine=False), zeroed(dense(width, 2 * width))
        self.leave = zeroed(dense(width, channels * patch * patch))

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        e = self.embed(level, given)  # (B, D), and words
        tokens, grid = patches(beside(x, given, self.shown), self.patch)  # (B, T, values), rows and columns
        turns = angles(*grid, self.pairs).to(x)  # (T, d / 2)
        h = self.enter(tokens)  # (B, T, D)
        for block in self.blocks:
            h = computed(block, h, e, turns, again=self.checkpointing and torch.is_grad_enabled())
        grow, shift = self.tell(e.pooled)[:, None].chunk(2, 2)  # (B, 1, D) each
        h = self.leave(self.norm(h) * (1 + grow) + shift)  # (B, T, C * p * p)
        return whole(h, grid, self.patch)[:, :, : x.shape[2], : x.shape[3]]


class Block(nn.Module):
    """Attention and two layers, each between a norm that is told the level and a gate that is closed at first."""

    def __init__(self, width: int, heads: int, dropout: float, words: int) -> None:
        super().__init__()
        self.heads, head = heads, width // heads
        self.norm = RmsNorm(width, elementwise_affine=False)
        self.tell = zeroed(dense(width, 6 * width))
        self.ask, self.answer = dense(width, 3 * width), dense(width, width)
        self.hear = dense(words, 2 * width) if words else None
        self.norm_query, self.norm_key = RmsNorm(head), RmsNorm(head)
        self.think = nn.Sequential(dense(width, 4 * width), nn.GELU(), Dropout(dropout), dense(4 * width, width))

    def forward(self, h: Tensor, e: Heard, turns: Tensor) -> Tensor:
        told = self.tell(e.pooled)[:, None].chunk(6, 2)  # (B, 1, D) each
        h = h + told[2] * self._attend(self.norm(h) * (1 + told[0]) + told[1], e, turns)
        answer: Tensor = h + told[5] * self.think(self.norm(h) * (1 + told[3]) + told[4])
        return answer

    def _attend(self, h: Tensor, e: Heard, turns: Tensor) -> Tensor:
        query, key, value = split(self.ask(h), 3, self.heads)  # (B, heads, T, d) each
        query, key = turned(self.norm_query(query), turns), turned(self.norm_key(key), turns)
        words = None
        if self.hear is not None and e.words is not None:
            keys, values = split(self.hear(e.words), 2, self.heads)  # (B, heads, L, d) each
            words = torch.stack([self.norm_key(keys), values])
        answer: Tensor = self.answer(look(query, key, value, words, e))  # (B, T, D)
        return answer


def patches(x: Tensor, patch: int) -> tuple[Tensor, tuple[int, int]]:
    """Images (B, C, H, W) as rows of patches (B, T, C * p * p), and how many there are down and across."""
    height, width = -(-x.shape[2] // patch), -(-x.shape[3] // patch)
    x = F.pad(x, (0, width * patch - x.shape[3], 0, height * patch - x.shape[2]))
    return F.pixel_unshuffle(x, patch).flatten(2).transpose(1, 2), (height, width)


def whole(tokens: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """`patches` undone, (B, T, C * p * p) to (B, C, height * p, width * p)."""
    return F.pixel_shuffle(tokens.transpose(1, 2).reshape(len(tokens), -1, *grid), patch)


def angles(height: int, width: int, pairs: int) -> Tensor:
    """By how much each pair of features of a token turns, (T, 2 * pairs): half by its row, half by its column."""
    rates = torch.exp(-math.log(SLOWEST) * torch.arange(pairs) / pairs)
    rows, columns = torch.arange(height)[:, None] * rates, torch.arange(width)[:, None] * rates
    both = rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)
    return torch.cat(both, 2).flatten(0, 1)


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """Features (B, heads, T, d), each pair of them turned by its angle (T, d / 2)."""
    one, two = x.chunk(2, -1)  # (B, heads, T, d / 2) each
    cos, sin = turns.cos(), turns.sin()
    return torch.cat([one * cos - two * sin, one * sin + two * cos], -1).to(x.dtype)
