"""Latents level by level: up an image's sides to what is seen of it, down them to what is made (Child 2021).

Rewon Child, "Very deep VAEs generalize autoregressive models and can outperform them on images"
(arXiv:2011.10650, figures 2 and 3), after the ladder VAE (Sonderby et al. 2016, arXiv:1602.02282) and Kingma
et al. 2016 (arXiv:1606.04934). One width of features at all sides, residual bottlenecks without norm, and last
layers that start at zero or at 1 / sqrt(depth), so that depth costs no stability (section 3.3).

A latent is kept as the noise e that its prior turned into it, z = prior mean + prior deviation e: under the
model all e of all levels are independent and N(0, I), and the posterior is told in e as well.

Notation: B batch, C channels of the image, F features, Z latents a place, L levels; h features (B, F, h, w) on
the way down, s those seen on the way up, e noise (B, Z, h, w).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from triptych.nets.conv import Side
from triptych.nets.resample import resized
from triptych.vae.posterior import Posterior, posterior_of

PLACED = 64 * 64  # places of a side up to which each has a start of its own (the paper's 64 px)
SLIM = 4  # a bottleneck is so many times narrower than the features


def bottleneck(inside: int, middle: int, outside: int, side: Side, gain: float) -> nn.Sequential:
    """1x1, 3x3, 3x3 and 1x1 convolutions with `middle` features inside, a GELU before each.

    A side under 3 px is not convolved along. The last weights are multiplied by `gain`: 0 for a block that
    starts by doing nothing.
    """
    kernel = (3 if side[0] > 2 else 1, 3 if side[1] > 2 else 1)
    between = [conv(inside, middle), conv(middle, middle, kernel), conv(middle, middle, kernel)]
    layers = [*between, conv(middle, outside, gain=gain)]
    return nn.Sequential(*(part for layer in layers for part in (nn.GELU(), layer)))


class Residual(nn.Module):
    """h + a bottleneck of h."""

    def __init__(self, width: int, side: Side, gain: float) -> None:
        super().__init__()
        self.block = bottleneck(width, slim(width), width, side, gain)

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = h + self.block(h)
        return y


class BottomUp(nn.Module):
    """Images (B, C, H, W) to what is seen at each of `sides`, [(B, F, h, w)], the image's side first."""

    def __init__(self, channels: int, sides: Sequence[Side], blocks: Sequence[int], width: int) -> None:
        super().__init__()
        gain = 1 / math.sqrt(sum(blocks))
        self.sides = list(sides)
        self.enter = conv(channels, width, (3, 3))
        self.stages = nn.ModuleList(
            nn.Sequential(*(Residual(width, side, gain) for _ in range(count)))
            for side, count in zip(sides, blocks, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        h, seen = self.enter(x.contiguous(memory_format=torch.channels_last)), []
        for side, stage in zip(self.sides, self.stages, strict=True):
            h = stage(resized(h, side))
            seen.append(h)
        return seen


class Drawn(NamedTuple):
    """What a level drew."""

    q: Posterior  # of e, (B, Z, h, w) each
    e: Tensor  # (B, Z, h, w)


class Level(nn.Module):
    """One group of latents, a grid of the sides that it stands at (figure 3 of the paper).

    `prior` answers p(z | h) and what h becomes whatever z is; `posterior` answers q(z | h, s); `enter` adds z to
    h, and `after` is a residual block. Prior and posterior both start at N(0, I): at first no nat is spent.
    """

    def __init__(self, width: int, latent: int, side: Side, gain: float) -> None:
        super().__init__()
        self.latent = latent
        self.prior = bottleneck(width, slim(width), 2 * latent + width, side, 0)
        self.posterior = bottleneck(2 * width, slim(width), 2 * latent, side, 0)
        self.enter = conv(latent, width, gain=gain)
        self.after = Residual(width, side, gain)

    def forward(self, h: Tensor, noise: Tensor, seen: Tensor | None) -> tuple[Tensor, Drawn]:
        """The next h, and e drawn with `noise` from its posterior, which is N(0, I) where nothing is seen."""
        answer = self.prior(h)
        p = posterior_of(answer[:, : 2 * self.latent].to(noise.dtype))
        q = Posterior(torch.zeros_like(noise), torch.zeros_like(noise))
        if seen is not None:
            q = relative(posterior_of(self.posterior(torch.cat([h, seen], 1)).to(noise.dtype)), p)
        e = q.at(noise)
        h = h + answer[:, 2 * self.latent :] + self.enter(p.at(e))
        return self.after(h), Drawn(q, e)


class Stage(nn.Module):
    """The levels at one side: what comes from the side below it is repeated, and a learned start is added."""

    def __init__(self, side: Side, levels: int, width: int, latent: int, gain: float) -> None:
        super().__init__()
        self.side = side
        self.start = nn.Parameter(torch.zeros(width, *(side if math.prod(side) <= PLACED else (1, 1))))
        self.levels = nn.ModuleList(Level(width, latent, side, gain) for _ in range(levels))

    def forward(self, h: Tensor, noise: Iterator[Tensor], seen: Tensor | None) -> tuple[Tensor, list[Drawn]]:
        h = (resized(h, self.side) + self.start).contiguous(memory_format=torch.channels_last)
        drawn = []
        for level in self.levels:
            h, found = level(h, next(noise), seen)
            drawn.append(found)
        return h, drawn


class TopDown(nn.Module):
    """Noise of all levels, from the smallest side to the image's, to the answers (B, answers, H, W).

    `levels` counts the levels at each of `sides`, which are those of `BottomUp`, the image's first. `shapes` are
    the latents of each level, (Z, h, w), in the order in which they are drawn.
    """

    def __init__(
        self, answers: int, sides: Sequence[Side], levels: Sequence[int], width: int, latent: int, classes: int = 0
    ) -> None:
        super().__init__()
        gain = 1 / math.sqrt(sum(levels))
        down = list(zip(sides, levels, strict=True))[::-1]
        self.shapes = [(latent, *side) for side, count in down for _ in range(count)]
        self.told = nn.Parameter(torch.zeros(classes, width))
        self.stages = nn.ModuleList(Stage(side, count, width, latent, gain) for side, count in down)
        self.leave = nn.Conv2d(width, answers, 1)

    def forward(
        self, noise: Sequence[Tensor], rows: Tensor, seen: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Drawn]]:
        """The answers, and what was drawn at each level; `seen` is what `BottomUp` says.

        Where nothing is seen the posterior is the prior, and the latents are the noise.
        """
        h, left = (rows @ self.told)[:, :, None, None], iter(noise)
        drawn: list[Drawn] = []
        for step, stage in enumerate(self.stages, 1):
            h, found = stage(h, left, None if seen is None else seen[-step])
            drawn += found
        with torch.autocast(h.device.type, enabled=False):  # bfloat16 has no more digits than a pixel has values
            return self.leave(h), drawn


def relative(q: Posterior, p: Posterior) -> Posterior:
    """A Gaussian q over z as one over the noise e of p, z = p.at(e): KL(q || p) is its KL to N(0, I)."""
    return Posterior((q.mean - p.mean) * (-0.5 * p.log_variance).exp(), q.log_variance - p.log_variance)


def slim(width: int) -> int:
    """The features inside of a bottleneck."""
    return max(width // SLIM, 1)


@torch.no_grad()
def conv(inside: int, outside: int, kernel: Side = (1, 1), gain: float = 1.0) -> nn.Conv2d:
    """A convolution at one size whose first weights keep the variance (He et al. 2015), times `gain`; offsets 0.

    PyTorch's own first weights let it fall sixfold a layer: after three, the last hears next to nothing, and a
    short training is over before it does.
    """
    layer = nn.Conv2d(inside, outside, kernel, padding=(kernel[0] // 2, kernel[1] // 2))
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu").mul_(gain)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer
