"""The U-Net of Ho, Jain and Abbeel (2020, arXiv:2006.11239, appendix B), for images of any size.

With `adaptive` and `head` it is that of Dhariwal and Nichol (2021, arXiv:2105.05233, section 3). What else is known of
an image is told as `known.py` says.

Notation: B batch, C channels of the image, F features, H W sides, T = H*W tokens, d features of a head,
D = 4 * width; h features of an image, e its level (and label) embedded. Features stay channels-last: their rows
of tokens are then views, and convolutions are faster.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.core import NOTHING, Given, Shape
from triptych.errors import UsageError
from triptych.nets.dropout import Dropout
from triptych.nets.known import Embedding, Heard, Telling, beside, computed, dense, heads_of, look, split, zeroed

Side = tuple[int, int]  # height, width
SMALLEST = 2  # px on the shorter side of the coarsest features


def ladder(sides: Side, steps: int) -> list[Side]:
    """At most `steps` sides, each half of the one before, rounded up, none under `SMALLEST`.

    >>> ladder((13, 37), 4)
    [(13, 37), (7, 19), (4, 10), (2, 5)]
    """
    found = [sides]
    while len(found) < steps and (min(found[-1]) + 1) // 2 >= SMALLEST:
        height, width = found[-1]
        found.append(((height + 1) // 2, (width + 1) // 2))
    return found


def attends(sides: Side, attention: Sequence[int]) -> bool:
    """Whether the longer side, rounded up to a power of two, is among the sizes in `attention`."""
    return 1 << (max(sides) - 1).bit_length() in attention


def check_sizes(width: int, multipliers: Sequence[int], blocks: int, dropout: float, least: int = 1) -> None:
    """Raise a `UsageError` for sizes of which no U-Net can be built; its width is `least` or more."""
    if width < least or blocks < 1 or min(multipliers, default=0) < 1 or not 0 <= dropout < 1:
        raise UsageError(
            f"No U-Net has width {width}, multipliers {multipliers}, blocks {blocks}, dropout {dropout}: "
            f"give a width of at least {least}, multipliers and blocks of at least 1, dropout in [0, 1)."
        )


class UNet(nn.Module):
    """Noisy images (B, C, H, W) and what stands for their noise levels (B,) to (B, C, H, W).

    There are as many sizes of features as `multipliers` of `width`, fewer where a side would fall
    under `SMALLEST`; self-attention is at the sizes in `attention` and in the middle. Of `classes`,
    `words`, `shown` images and `until` it is told as `known.py` says. `adaptive` blocks are told the level by scale
    and shift of a norm, not by a shift alone; attention has heads of `head` features, or one for null. With
    `checkpointing` stages are computed twice in a training step, for less memory. The last layer starts at zero, and
    so does the output.
    """

    def __init__(
        self,
        image_shape: Shape,
        classes: int = 0,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (16,),
        dropout: float = 0.1,
        adaptive: bool = False,
        head: int | None = None,
        until: bool = False,
        checkpointing: bool = False,
        words: int = 0,
        shown: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(width, multipliers, blocks, dropout, least=4)
        channels, sides = image_shape[0], ladder(image_shape[1:], len(multipliers))
        self.shown, self.until, self.checkpointing = shown, until, checkpointing
        widths = [width * multiplier for multiplier in multipliers[: len(sides)]]

        def stage(inner: int, outer: int, attend: bool) -> Stage:
            telling = Telling(4 * width, adaptive, head, words)
            return Stage(inner, outer, telling, dropout, attend)

        self.embed = Embedding(width, classes, words, until)
        self.enter, self.down = nn.ModuleList(), nn.ModuleList()
        self.leave, self.up = nn.ModuleList(), nn.ModuleList()
        here, skips = width, []
        for step, outer in enumerate(widths):
            attend = attends(sides[step], attention)
            self.enter.append(conv(here, here, stride=2) if step else conv(channels + shown, width))
            inners = [here] + [outer] * (blocks - 1)
            self.down.append(nn.ModuleList(stage(inner, outer, attend) for inner in inners))
            skips += inners[:1] + [outer] * blocks
            here = outer
        self.middle = nn.ModuleList([stage(here, here, True), stage(here, here, False)])
        for step, outer in reversed(list(enumerate(widths))):
            attend = attends(sides[step], attention)
            inners = [here] + [outer] * blocks
            self.up.append(nn.ModuleList(stage(inner + skips.pop(), outer, attend) for inner in inners))
            self.leave.append(Grow(outer, sides[step - 1]) if step else Head(outer, channels))
            here = outer

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        e = self.embed(level, given)  # (B, D), and words
        # Networks told `until` are taught by forward derivatives, which group norms have channels-first alone.
        layout = torch.contiguous_format if self.until else torch.channels_last
        h = beside(x, given, self.shown).contiguous(memory_format=layout)  # (B, C, H, W)
        again, skips = self.checkpointing and torch.is_grad_enabled(), []
        for enter, stages in zip(self.enter, self.down, strict=True):
            h = enter(h)  # (B, F, H, W), the first at the image's size, the others half the one before
            skips.append(h)
            for stage in stages:  # type: ignore[attr-defined]
                h = computed(stage, h, e, again=again)
                skips.append(h)
        for stage in self.middle:
            h = computed(stage, h, e, again=again)
        for stages, leave in zip(self.up, self.leave, strict=True):
            for stage in stages:  # type: ignore[attr-defined]
                h = computed(stage, torch.cat([h, skips.pop()], 1), e, again=again)
            h = leave(h)  # (B, F, 2H, 2W), the last (B, C, H, W)
        return h


class Stage(nn.Module):
    """A residual block of two convolutions that is told the level, then attention or nothing."""

    def __init__(self, inner: int, outer: int, telling: Telling, dropout: float, attend: bool) -> None:
        super().__init__()
        self.adaptive = telling.adaptive
        self.norm1, self.conv1 = Norm(inner), conv(inner, outer)
        self.tell = dense(telling.features, outer * (1 + telling.adaptive))
        self.norm2, self.conv2 = Norm(outer), zeroed(conv(outer, outer))
        self.dropout = Dropout(dropout)
        self.skip = nn.Identity() if inner == outer else conv(inner, outer, kernel=1)
        self.attention = Attention(outer, telling) if attend else None

    def forward(self, x: Tensor, e: Heard) -> Tensor:
        h: Tensor = self.conv1(F.silu(self.norm1(x)))  # (B, F, H, W)
        told = self.tell(e.pooled)[:, :, None, None]  # (B, F or 2F, 1, 1)
        if self.adaptive:
            grow, shift = told.chunk(2, 1)
            h = self.norm2(h) * (1 + grow) + shift
        else:
            h = self.norm2(h + told)
        h = self.skip(x) + self.conv2(self.dropout(F.silu(h)))
        return h if self.attention is None else self.attention(h, e)


class Attention(nn.Module):
    """h + attention over all places of h, and over the words that are heard."""

    def __init__(self, features: int, telling: Telling) -> None:
        super().__init__()
        self.heads, self.norm = heads_of(features, telling.head), Norm(features)
        self.ask, self.answer = dense(features, 3 * features), zeroed(dense(features, features))
        self.hear = dense(telling.words, 2 * features) if telling.words else None

    def forward(self, h: Tensor, e: Heard) -> Tensor:
        rows = self.norm(h).flatten(2).transpose(1, 2)  # (B, T, F)
        query, key, value = split(self.ask(rows), 3, self.heads)  # (B, heads, T, d) each
        words = None if self.hear is None or e.words is None else split(self.hear(e.words), 2, self.heads)
        rows = look(query, key, value, words, e)  # (B, T, F)
        answer: Tensor = self.answer(rows).transpose(1, 2).reshape(h.shape)  # (B, F, H, W)
        return h + answer


class Grow(nn.Sequential):
    """To the sides of the finer features, by the nearest neighbour and a convolution."""

    def __init__(self, features: int, sides: Side) -> None:
        super().__init__(nn.Upsample(sides), conv(features, features))


class Head(nn.Sequential):
    """From features to the image's channels; zero at first."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__(Norm(features), nn.SiLU(), zeroed(conv(features, channels)))


def conv(inner: int, outer: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the sides or, with a stride of 2, halves them, rounded up."""
    layer = nn.Conv2d(inner, outer, kernel, stride, padding=kernel // 2)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class Norm(nn.GroupNorm):
    """Group norm with at most 32 groups, of 4 features or more where there are as many; float32 inside at least.

    So autocast has it on GPUs too. On CPUs it is faster than in bfloat16.
    """

    def __init__(self, features: int) -> None:
        most = max(1, min(32, features // 4))
        super().__init__(max(n for n in range(1, most + 1) if features % n == 0), features)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(torch.promote_types(x.dtype, torch.float32))).to(x.dtype)
