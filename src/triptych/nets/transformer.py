"""A small transformer over tokens, causal with a key-value cache or seeing all (Vaswani et al. 2017, arXiv:1706.03762).

A causal network answers for each token from those before it alone; the other kind sees every token, and may be
shown `mask` where one is not known. The image's class, or that none is known, has a place of its own before the
first token and is told to every other place too. Norms come first in each branch (Zhang and Sennrich 2019,
arXiv:1910.07467).

Notation: B batch, T tokens, K kinds of tokens, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from triptych.core import NOTHING, Given
from triptych.errors import UsageError
from triptych.nets.dropout import Dropout
from triptych.nets.known import RmsNorm

Past = tuple[Tensor, Tensor]  # keys and values (B, heads, tokens so far, F / heads)


class Cache(NamedTuple):
    """What a causal network remembers of the tokens so far."""

    told: Tensor  # the class, (B, 1, F)
    pasts: list[Past]  # one for each block
    place: int  # of the token that comes next


class Transformer(nn.Module):
    """Tokens (B, T) to logits (B, T, K), causal or seeing all; `mask` (= K) is a token more that can be shown.

    `places` is T; `given["labels"]` (B,) is heard where there are `classes`, -1 for a class that is not known.
    """

    def __init__(
        self,
        kinds: int,
        places: int,
        classes: int = 0,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
        causal: bool = True,
    ) -> None:
        super().__init__()
        if min(width, depth, heads) < 1 or width % max(heads, 1) or not 0 <= dropout < 1:
            raise UsageError(
                f"No transformer has width {width}, depth {depth}, heads {heads}, dropout {dropout}: "
                "give a depth of 1 or more, heads that divide the width, dropout in [0, 1)."
            )
        self.mask, self.classes, self.causal = kinds, classes, causal
        self.token = nn.Embedding(kinds + 1, width)
        self.label = nn.Embedding(classes + 1, width)
        self.place = nn.Embedding(places + 1, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm, self.answer = RmsNorm(width), nn.Linear(width, kinds)

    def forward(self, tokens: Tensor, given: Given = NOTHING) -> Tensor:
        shown = tokens[:, :-1] if self.causal else tokens  # the last one would have nothing to say to any other
        h = pad(self.token(shown), (0, 0, 1, 0))  # (B, 1 + shown, F)
        h = h + self._told(len(tokens), given) + self.place.weight[: h.shape[1]]
        for block in self.blocks:
            h, _ = block(h, causal=self.causal)
        return self._logits(h if self.causal else h[:, 1:])

    def begin(self, images: int, given: Given = NOTHING) -> tuple[Tensor, Cache]:
        """Logits (B, K) of the first token, and the cache that `follow` needs for the second; of a causal network."""
        told = self._told(images, given)
        return self._cached(torch.zeros_like(told), Cache(told, [], 0))

    def follow(self, token: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """Logits (B, K) of the token after `token` (B,), and the cache with that token in it."""
        return self._cached(self.token(token)[:, None], cache)

    def _cached(self, h: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        """One place (B, 1, F) through all blocks, beside what they remember."""
        h = h + cache.told + self.place.weight[cache.place]
        pasts = []
        for number, block in enumerate(self.blocks):
            h, past = block(h, cache.pasts[number] if cache.pasts else None)
            pasts.append(past)
        return self._logits(h)[:, 0], Cache(cache.told, pasts, cache.place + 1)

    def _told(self, images: int, given: Given) -> Tensor:
        """The class of each image, (B, 1, F)."""
        unknown = torch.full((images,), -1, device=self.place.weight.device)
        labels = given.get("labels", unknown) if self.classes else unknown
        told: Tensor = self.label(labels + 1)[:, None]
        return told

    def _logits(self, h: Tensor) -> Tensor:
        logits: Tensor = self.answer(self.norm(h))
        return logits


class Block(nn.Module):
    """Attention and two layers at each place, each of them added to what it was shown, (B, T, F).

    Of the places, those in `heard` (B, T) alone are listened to, where it is given: one at least of each row.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = RmsNorm(width), RmsNorm(width)
        self.ask, self.gather = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = Dropout(dropout)

    def forward(
        self, h: Tensor, past: Past | None = None, causal: bool = False, heard: Tensor | None = None
    ) -> tuple[Tensor, Past]:
        asked = self.ask(self.norm1(h)).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, heads, F / heads)
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        if past is not None:
            key, value = torch.cat([past[0], key], 2), torch.cat([past[1], value], 2)
        mask = None if heard is None else heard[:, None, None]  # (B, 1, 1, T)
        answer = scaled_dot_product_attention(query, key, value, mask, is_causal=causal)  # (B, heads, T, F / heads)
        h = h + self.dropout(self.gather(answer.transpose(1, 2).flatten(2)))
        h = h + self.dropout(self.think(self.norm2(h)))
        return h, (key, value)
