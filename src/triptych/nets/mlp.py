"""A residual network for vectors that are told a noise level: the denoiser of latents without places.

Notation: B batch, N values of an image (C, H, W), F features; h features, e the level (and label) embedded.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from triptych.core import NOTHING, Given, Shape
from triptych.errors import UsageError
from triptych.nets.dropout import Dropout
from triptych.nets.known import Embedding, dense, zeroed


class ResidualMlp(nn.Module):
    """Noisy images (B, C, H, W) and what stands for their noise levels (B,) to (B, C, H, W), all values in one row.

    `blocks` of two layers of `width` features; of `classes`, `words` and `until` it is told as `known.py` says. The
    last layer starts at zero, and so does the output.
    """

    def __init__(
        self,
        image_shape: Shape,
        classes: int = 0,
        width: int = 256,
        blocks: int = 4,
        dropout: float = 0.0,
        until: bool = False,
        words: int = 0,
        shown: int = 0,
    ) -> None:
        super().__init__()
        if shown:
            raise UsageError("A residual network of vectors is shown no images: take net.kind=unet.")
        if width < 8 or blocks < 1 or not 0 <= dropout < 1:
            raise UsageError(
                f"No residual network has width {width}, blocks {blocks}, dropout {dropout}: give a width of at "
                "least 8, blocks of at least 1, dropout in [0, 1)."
            )
        values = math.prod(image_shape)
        self.until = until
        self.embed = Embedding(width // 4, classes, words, until)
        self.enter = dense(values, width)
        self.blocks = nn.ModuleList(Block(width, 4 * (width // 4), dropout) for _ in range(blocks))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), zeroed(dense(width, values)))

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        e = self.embed(level, given).pooled  # (B, F), F rounded down to a multiple of 4
        h = self.enter(x.flatten(1))  # (B, N) -> (B, F)
        for block in self.blocks:
            h = block(h, e)
        answer: Tensor = self.leave(h).view(x.shape)  # (B, C, H, W)
        return answer


class Block(nn.Module):
    """h and what two layers, told the level between them, add to it; nothing at first."""

    def __init__(self, width: int, told: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.first = nn.LayerNorm(width), dense(width, width)
        self.tell = dense(told, 2 * width)
        self.norm2, self.second = nn.LayerNorm(width), zeroed(dense(width, width))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        grow, shift = self.tell(e).chunk(2, 1)  # (B, F) each
        h = self.first(F.silu(self.norm1(x)))  # (B, F)
        h = self.norm2(h) * (1 + grow) + shift
        answer: Tensor = x + self.second(self.dropout(F.silu(h)))
        return answer
