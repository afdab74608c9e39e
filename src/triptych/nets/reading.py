"""Texts to words that a network can hear: a small transformer (Vaswani et al. 2017, arXiv:1706.03762), trained along.

A word is a run of bytes without a space, in pieces of at most `PIECE`, wherever in the text it stands. It enters as
the sum of its bytes' embeddings, each by its place in the word (bags of letters, Bojanowski et al. 2017,
arXiv:1607.04606, with places), so that a text costs as much as it has words and no letter is unknown.

Notation: B batch, L bytes, T = (L + 1) // 2 words at most, W width inside, F features of a word; text (B, L) is as in
`labels.py`: bytes of UTF-8, -1 behind their end. `heard` (B, T) says where there is a word; the others are zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from triptych.core import LONGEST
from triptych.errors import UsageError
from triptych.nets.known import RmsNorm
from triptych.nets.transformer import Block

PIECE = 12  # bytes: characters of 1, 2, 3 and 4 bytes fit in whole numbers
SPACE = 32


class ByteReader(nn.Module):
    """Texts (B, L) to words (B, T, F) and `heard` (B, T); each word hears every other, and nothing behind the end.

    A text that is not known, and an empty one, has no word. Raises a `UsageError` for sizes that make no network.
    """

    def __init__(self, features: int = 128, width: int = 128, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        if min(features, width, depth, heads) < 1 or width % max(heads, 1):
            raise UsageError(
                f"No reader has features {features}, width {width}, depth {depth}, heads {heads}: "
                "give 1 or more of each, and heads that divide the width."
            )
        self.features = features
        self.letter = nn.Embedding(256 * PIECE, width)
        self.place = nn.Embedding(1 + (LONGEST + 1) // 2, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout=0.0) for _ in range(depth))
        self.norm, self.answer = RmsNorm(width), nn.Linear(width, features)

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor]:
        if text.shape[1] > LONGEST:
            raise UsageError(f"A text has {text.shape[1]} bytes: give at most {LONGEST}.")
        member, at = split(text)  # (B, T, L), (B, L)
        heard = member.any(2)  # (B, T)
        spelled = self.letter(text.clamp(min=0) + 256 * at)  # (B, L, W)
        h = member.to(spelled.dtype) @ spelled  # (B, T, W)
        h = pad(h, (0, 0, 1, 0)) + self.place.weight[: 1 + h.shape[1]]  # first comes a place that is always heard
        mask = pad(heard, (1, 0), value=True)
        for block in self.blocks:
            h, _ = block(h, heard=mask)
        words: Tensor = self.answer(self.norm(h[:, 1:]))  # (B, T, F)
        return words * heard[..., None], heard


def split(text: Tensor) -> tuple[Tensor, Tensor]:
    """Which bytes each word has, (B, T, L) bool, and each byte's place in its word, (B, L) from 0 to PIECE - 1."""
    place = torch.arange(text.shape[1], device=text.device)
    there = (text >= 0) & (text != SPACE)  # (B, L)
    first = there & ~pad(there[:, :-1], (1, 0))  # where a run of bytes begins
    along = place - torch.where(first, place, 0).cummax(1).values  # (B, L) from the beginning of the run
    begins = there & (along % PIECE == 0)
    number = begins.cumsum(1) - 1  # (B, L) of the word
    words = torch.arange((text.shape[1] + 1) // 2, device=text.device)
    return (number[:, None] == words[:, None]) & there[:, None], along % PIECE
