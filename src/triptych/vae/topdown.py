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
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from triptych.nets.conv import Side
from triptych.nets.resample import resized
from triptych.vae.posterior import Posterior, posterior_of

PLACED = 64 * 64  # places of a side up to which each has a start of its own (the paper's 64 px)
SLIM = 4  # a bottleneck is so many times narrower than the features


class Bottleneck(nn.Module):
    """1x1, 3x3, 3x3 and 1x1 convolutions, a GELU before each; sides under 3 px are not padded but left alone.

    The last weights are multiplied by `gain`: 0 for a block that starts by doing nothing.
    """

    def __init__(self, inside: int, outside: int, middle: int, side: Side, gain: float) -> None:
        super().__init__()
        kernel = (3 if side[0] > 2 else 1, 3 if side[1] > 2 else 1)
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(inside, middle, 1),
                nn.Conv2d(middle, middle, kernel, padding=padding),
                nn.Conv2d(middle, middle, kernel, padding=padding),
                scaled(nn.Conv2d(middle, outside, 1), gain),
            ]
        )

    def forward(self, h: Tensor) -> Tensor:
        for layer in self.layers:
            h = layer(gelu(h))
        return h


class BottomUp(nn.Module):
    """Images (B, C, H, W) to what is seen at each of `sides`, [(B, F, h, w)], the image's side first."""

    def __init__(self, channels: int, sides: Sequence[Side], blocks: Sequence[int], width: int) -> None:
        super().__init__()
        gain = 1 / math.sqrt(sum(blocks))
        self.sides = list(sides)
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.stages = nn.ModuleList(
            nn.ModuleList(Bottleneck(width, width, slim(width), side, gain) for _ in range(count))
            for side, count in zip(sides, blocks, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        h, seen = self.enter(x.contiguous(memory_format=torch.channels_last)), []
        for side, stage in zip(self.sides, self.stages, strict=True):
            h = resized(h, side)
            for block in stage:
                h = h + block(h)
            seen.append(h)
        return seen


class Level(nn.Module):
    """One group of latents, a grid of the sides that it stands at (figure 3 of the paper).

    `prior` answers p(z | h) and what h becomes whatever z is; `posterior` answers q(z | h, s); `enter` adds z to
    h, and `after` is a residual block. Prior and posterior both start at N(0, I): at first no nat is spent.
    """

    def __init__(self, width: int, latent: int, side: Side, gain: float) -> None:
        super().__init__()
        middle = slim(width)
        self.shape = (latent, *side)
        self.prior = Bottleneck(width, 2 * latent + width, middle, side, 0)
        self.posterior = Bottleneck(2 * width, 2 * latent, middle, side, 0)
        self.enter = scaled(nn.Conv2d(latent, width, 1), gain)
        self.after = Bottleneck(width, width, middle, side, gain)

    def forward(self, h: Tensor, noise: Tensor, seen: Tensor | None) -> tuple[Tensor, Posterior | None, Tensor]:
        """The next h, the posterior of e and e itself: `noise` where nothing is seen, else drawn with it."""
        answer = self.prior(h)
        p = posterior_of(answer[:, : 2 * self.shape[0]].to(noise.dtype))
        q = None
        if seen is not None:
            q = relative(posterior_of(self.posterior(torch.cat([h, seen], 1)).to(noise.dtype)), p)
        e = noise if q is None else q.at(noise)
        h = h + answer[:, 2 * self.shape[0] :] + self.enter(p.at(e))
        return h + self.after(h), q, e


class TopDown(nn.Module):
    """Noise of all levels, from the smallest side to the image's, to the answers (B, answers, H, W).

    `levels` counts the levels at each of `sides`, which are those of `BottomUp`, the image's first.
    """

    def __init__(
        self, answers: int, sides: Sequence[Side], levels: Sequence[int], width: int, latent: int, classes: int = 0
    ) -> None:
        super().__init__()
        gain = 1 / math.sqrt(sum(levels))
        self.sides = list(sides)[::-1]
        self.told = nn.Parameter(torch.zeros(classes, width))
        self.starts = nn.ParameterList(
            torch.zeros(width, *(side if math.prod(side) <= PLACED else (1, 1))) for side in self.sides
        )
        self.stages = nn.ModuleList(
            nn.ModuleList(Level(width, latent, side, gain) for _ in range(count))
            for side, count in zip(self.sides, list(levels)[::-1], strict=True)
        )
        self.leave = nn.Conv2d(width, answers, 1)

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """The latents of each level, (Z, h, w), in the order in which they are drawn."""
        return [level.shape for stage in self.stages for level in stage]  # type: ignore[union-attr]

    def forward(
        self, noise: Sequence[Tensor], rows: Tensor, seen: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Posterior], list[Tensor]]:
        """The answers, and for each level the posterior of e and e itself; `seen` is what `BottomUp` says.

        Where nothing is seen the latents are the noise, and there are no posteriors.
        """
        h, left = (rows @ self.told)[:, :, None, None], iter(noise)
        posteriors, latents = [], []
        for step, (side, start, stage) in enumerate(zip(self.sides, self.starts, self.stages, strict=True), 1):
            h = (resized(h, side) + start).contiguous(memory_format=torch.channels_last)
            for level in stage:
                h, q, e = level(h, next(left), None if seen is None else seen[-step])
                posteriors += [] if q is None else [q]
                latents.append(e)
        return self.leave(h), posteriors, latents


def relative(q: Posterior, p: Posterior) -> Posterior:
    """A Gaussian q over z as one over the noise e of p, z = p.at(e): KL(q || p) is its KL to N(0, I)."""
    return Posterior((q.mean - p.mean) * (-0.5 * p.log_variance).exp(), q.log_variance - p.log_variance)


def slim(width: int) -> int:
    """The features inside of a bottleneck."""
    return max(width // SLIM, 1)


@torch.no_grad()
def scaled(layer: nn.Conv2d, gain: float) -> nn.Conv2d:
    """The layer with its first weights multiplied by `gain`, and no offset."""
    layer.weight.mul_(gain)
    if layer.bias is not None:
        layer.bias.zero_()
    return layer
