"""The magnitude-preserving U-Net of Karras et al. (2024, arXiv:2312.02696, configuration G), for images of any size.

Each layer answers with a magnitude of about 1 where it is shown one, so that neither features nor weights drift while
it learns, and group norms are not needed. There are no biases: a channel of ones is shown beside the image. What else
is known of an image is told as `known.py` says.

Notation: magnitude is root mean square; B batch, C channels of the image, F features, H W sides, T = H*W tokens, d
features of a head, D = the largest multiplier of `width`, times it; h features of an image, e its level (and label)
embedded. Features stay channels-last: their rows of tokens are then views, and convolutions are faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.core import NOTHING, Given, Shape
from triptych.magnitudes import UnitRows, unit
from triptych.nets.dropout import Dropout
from triptych.nets.known import Heard, Telling, beside, heads_of, look, split
from triptych.nets.unet import attends, check_sizes, ladder

SILU = 0.596  # magnitude of the SiLU of standard normal values
SHARE = 0.3  # of a sum that is what a block adds (table 5 of the paper: residual and attention balance)
BANDWIDTH = 1 / 400  # deviation of turns a unit of level: about 1 over log(s) / 4, for 1000 levels from 0.002 to 80


class MagnitudeUNet(nn.Module):
    """Noisy images (B, C, H, W) and what stands for their noise levels (B,) to (B, C, H, W).

    Sizes, `attention` and what it is told of are those of `UNet`; heads of attention have `head` features, or all of
    them for null. Weights are `UnitRows`: the optimiser sets those of each feature back to a magnitude of 1 after each
    step, which changes no answer and keeps the learning rate's meaning. A gain behind the last layer starts at zero,
    and so does the output.
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
        head: int | None = 64,
        words: int = 0,
        shown: int = 0,
    ) -> None:
        super().__init__()
        check_sizes(width, multipliers, blocks, dropout)
        self.shown = shown
        sides = ladder(image_shape[1:], len(multipliers))
        widths = [width * multiplier for multiplier in multipliers[: len(sides)]]
        telling = Telling(max(widths), adaptive=True, head=head, words=words)

        def block(inner: int, outer: int, attend: bool, *before: nn.Module) -> Block:
            return Block(nn.Sequential(*before), inner, outer, telling, dropout, attend)

        self.embed = UnitEmbedding(width, telling.features, classes, words)
        self.enter, self.down = Layer(image_shape[0] + shown + 1, widths[0], 3), nn.ModuleList()
        skips = [here := widths[0]]
        for step, outer in enumerate(widths):
            if step:
                self.down.append(block(here, here, False, nn.AvgPool2d(2, ceil_mode=True), PixelNorm()))
                skips.append(here)
            for _ in range(blocks):
                widen = [Layer(here, outer, 1)] if here != outer else []
                self.down.append(block(outer, outer, attends(sides[step], attention), *widen, PixelNorm()))
                skips.append(here := outer)
        self.middle, self.rise, self.up = block(here, here, True), nn.ModuleList(), nn.ModuleList()
        for step, outer in reversed(list(enumerate(widths))):
            self.rise.append(block(here, here, False, nn.Upsample(sides[step])))
            inners, attend = [here] + [outer] * blocks, attends(sides[step], attention)
            self.up.append(nn.ModuleList(block(inner + skips.pop(), outer, attend) for inner in inners))
            here = outer
        self.leave, self.gain = Layer(here, image_shape[0], 3), nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        e = self.embed(level, given)  # (B, D), and words
        x = F.pad(beside(x, given, self.shown), (0, 0, 0, 0, 0, 1), value=1.0)  # (B, C + 1, H, W)
        h = self.enter(x.contiguous(memory_format=torch.channels_last))  # (B, F, H, W)
        skips = [h]
        for block in self.down:
            h = block(h, e)  # (B, F, H, W), the first at each size half of the one before
            skips.append(h)
        h = self.middle(h, e)
        for rise, blocks in zip(self.rise, self.up, strict=True):
            h = rise(h, e)  # (B, F, 2H, 2W), but for the coarsest
            for block in blocks:  # type: ignore[attr-defined]
                h = block(both(h, skips.pop()), e)
        answer: Tensor = self.leave(h, self.gain)  # (B, C, H, W)
        return answer


class UnitEmbedding(nn.Module):
    """Levels (B,) with what is known of the images to vectors (B, D) of magnitude 1, and their words.

    What is not known has no part in the sums, as what is absent.
    """

    def __init__(self, width: int, features: int, classes: int, words: int) -> None:
        super().__init__()
        self.level = Layer(width, features)
        self.label = Layer(classes, features) if classes else None
        self.read = Layer(words, features) if words else None
        self.rates: Tensor
        self.phases: Tensor
        self.register_buffer("rates", 2 * math.pi * BANDWIDTH * torch.randn(width))
        self.register_buffer("phases", 2 * math.pi * torch.rand(width))

    def forward(self, level: Tensor, given: Given) -> Heard:
        e: Tensor = self.level(waves(level, self.rates, self.phases))  # (B, D)
        if self.label is not None and "labels" in given:
            labels, classes = given["labels"], self.label.weight.shape[1]
            one = F.one_hot(labels + 1, classes + 1)[:, 1:].to(e)  # (B, classes), zeros for -1
            e = torch.where((labels >= 0)[:, None], plus(e, self.label(math.sqrt(classes) * one), 0.5), e)
        words, heard = given.get("words"), given.get("heard")
        if self.read is None or words is None or heard is None:
            return Heard(silu(e))
        mean = unit((words * heard[:, :, None]).sum(1))  # (B, F)
        e = torch.where(heard.any(1, keepdim=True), plus(e, self.read(mean), 0.5), e)
        return Heard(silu(e), words, heard)


class Block(nn.Module):
    """What is `before`, then a residual block that is told the level by a scale, then attention or nothing."""

    def __init__(
        self, before: nn.Module, inner: int, outer: int, telling: Telling, dropout: float, attend: bool
    ) -> None:
        super().__init__()
        self.before, self.dropout = before, Dropout(dropout)
        self.conv1, self.conv2 = Layer(inner, outer, 3), Layer(outer, outer, 3)
        self.tell, self.gain = Layer(telling.features, outer), nn.Parameter(torch.zeros(()))
        self.skip = Layer(inner, outer, 1) if inner != outer else nn.Identity()
        self.attention = Attention(outer, telling) if attend else None

    def forward(self, x: Tensor, e: Heard) -> Tensor:
        x = self.before(x)  # (B, F, H, W)
        scale = 1 + self.tell(e.pooled, self.gain)[:, :, None, None]  # (B, F, 1, 1)
        h = self.dropout(silu(self.conv1(silu(x)) * scale))
        h = plus(self.skip(x), self.conv2(h), SHARE)
        return h if self.attention is None else self.attention(h, e)


class Attention(nn.Module):
    """Attention by cosines over all places of h, and over the words that are heard, summed with h.

    Queries, keys and values have a magnitude of 1 in each head (section 2.2: cosine attention), words as places.
    """

    def __init__(self, features: int, telling: Telling) -> None:
        super().__init__()
        self.heads = heads_of(features, telling.head)
        self.ask, self.answer = Layer(features, 3 * features), Layer(features, features)
        self.hear = Layer(telling.words, 2 * features) if telling.words else None

    def forward(self, h: Tensor, e: Heard) -> Tensor:
        rows = h.flatten(2).transpose(1, 2)  # (B, T, F)
        query, key, value = unit(split(self.ask(rows), 3, self.heads))  # (B, heads, T, d) each
        words = None if self.hear is None or e.words is None else unit(split(self.hear(e.words), 2, self.heads))
        answer = self.answer(look(query, key, value, words, e))  # (B, T, F)
        return plus(h, answer.transpose(1, 2).reshape(h.shape), SHARE)


class Layer(nn.Module):
    """A convolution of `kernel` > 0, or a dense layer, whose weights to a feature have a norm of 1 whatever is learnt.

    Independent values of magnitude 1 are answered with values of magnitude 1 (equation 47), times `gain`. Gradients
    are at right angles to the weights. The paper sets weights back before each pass in training; here that is done
    after each step, so that a pass changes nothing.
    """

    def __init__(self, inner: int, outer: int, kernel: int = 0) -> None:
        super().__init__()
        weight = torch.randn(outer, inner, *[kernel] * 2 * (kernel > 0))
        self.weight = UnitRows(unit(weight.flatten(1)).view_as(weight))

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        weight = unit(self.weight.flatten(1)).view_as(self.weight)
        weight = weight * (gain / math.sqrt(self.weight[0].numel()))
        return F.conv2d(x, weight, padding="same") if weight.dim() == 4 else F.linear(x, weight)


class PixelNorm(nn.Module):
    """Features (B, F, H, W) with a magnitude of 1 at each place (Karras et al. 2018, arXiv:1710.10196, section 4.2)."""

    def forward(self, h: Tensor) -> Tensor:
        return unit(h.movedim(1, -1)).movedim(-1, 1)


def waves(level: Tensor, rates: Tensor, phases: Tensor) -> Tensor:
    """Numbers (B,) as waves (B, width) of these rates, in radians a unit, and phases (equation 75)."""
    return math.sqrt(2) * (level[:, None] * rates + phases).cos()


def silu(x: Tensor) -> Tensor:
    """The SiLU that keeps the magnitude of standard normal values (equation 81)."""
    return F.silu(x) / SILU


def plus(x: Tensor, y: Tensor, share: float) -> Tensor:
    """The sum of 1 - `share` of x and a `share` of y, as large as two that are independent (equation 88)."""
    return torch.lerp(x, y, share) / math.hypot(1 - share, share)


def both(x: Tensor, y: Tensor) -> Tensor:
    """x and y (B, F, H, W) side by side; each weighs as much in the next layer, however many its features (eq. 103)."""
    total = x.shape[1] + y.shape[1]
    return torch.cat([math.sqrt(total / (2 * part.shape[1])) * part for part in (x, y)], 1)
