"""What the critic is shown instead of the images themselves, so that it cannot learn a small set by heart.

A group draws the parameters of some changes (`changes.py`) from torch's default generator, each change with
chance p an image, and makes them. Where p stays below 1 the law of the changed images still tells that of the
images, so that what is done to them does not leak into the generated ones (Karras et al. 2020,
arXiv:2006.06676, section 2.2).

Notation: B batch, C channels, n of them colours, H W image sides; x images in [-1, 1], mid-grey 0; p the
chance of a change, ().
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from triptych import chance
from triptych.core import Stats
from triptych.errors import UsageError, nearest
from triptych.gan.changes import (
    brightness,
    coloured,
    colours,
    contrast,
    hue,
    kept,
    luma,
    mean_colour,
    mirrored,
    moved,
    places_before,
    rotation,
    saturation,
    scaling,
    translation,
    turned,
    warped,
)
from triptych.ramps import Ramp, always

Group = Callable[[Tensor, Tensor], Tensor]  # images (B, C, H, W), p () -> images
Rule = Callable[[Tensor, Tensor, int, int], Tensor]  # p (), overfitting (), images since p moved, images seen -> p
FURTHEST = 1 / 8  # of a side: how far a shift carries (Karras et al. 2020, appendix B; Zhao et al. 2020, section 3)


class Augmentation(nn.Module):
    """Groups of changes, one after the other, with a chance p that a rule moves at every `every`-th batch.

    p, and what the rule has heard since it last moved p, are buffers: part of a checkpoint.
    """

    def __init__(self, groups: Sequence[Group], rule: Rule, p: float, every: int = 1) -> None:
        super().__init__()
        self.groups, self.rule, self.every = groups, rule, every
        self.p: Tensor
        self.signs: Tensor
        self.batches: Tensor
        self.register_buffer("p", torch.tensor(p, dtype=torch.float64))
        self.register_buffer("signs", torch.zeros((), dtype=torch.float64))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to changed ones of the same shape; each by its own chance."""
        for change in self.groups:
            x = change(x, self.p)
        return x

    @torch.no_grad()
    def follow(self, accuracy_real: Tensor, size: int, seen: int) -> Stats:
        """Told after each batch of `size` what share of the real images the critic recognises, a scalar.

        Moves p when it is due. Returns p and the overfitting r = E[sign D(real)], from -1 to 1 and 0 where the
        critic knows nothing, averaged over the batches since p last moved (Karras et al. 2020, equation 1).
        """
        self.signs += 2 * accuracy_real.double() - 1
        self.batches += 1
        overfitting, due = self.signs / self.batches, self.batches == self.every
        p = torch.where(due, self.rule(self.p, overfitting, self.every * size, seen), self.p)
        self.p.copy_(p)
        self.signs.masked_fill_(due, 0)
        self.batches.masked_fill_(due, 0)
        return {"p": p, "overfitting": overfitting}


Augment = Annotated[Augmentation, "augment"]


def diffaugment(policy: tuple[str, ...] = ("colour", "shift", "cutout")) -> Augmentation:
    """Colour, shift and cutout of every image (Zhao et al. 2020, arXiv:2006.10738, section 3.2)."""
    return Augmentation(named(policy, POLICY), lambda p, *heard: p, 1.0)


def ada(
    target: float = 0.6,
    images: int = 500_000,
    every: int = 4,
    most: float = 0.9,
    groups: tuple[str, ...] = ("blits", "geometry", "colour"),
) -> Augmentation:
    """Adaptive augmentation: p grows while the critic overfits more than `target`, else shrinks (Karras et al. 2020).

    From 0 to 1 takes `images` images. Past `most` changes would begin to leak (section 2.2), so p stays there.
    """
    if not (-1 <= target <= 1 and 0 <= most <= 1 and min(images, every) >= 1):
        raise UsageError(
            f"ada has target {target}, most {most}, images {images} and every {every}: "
            "give a target from -1 to 1, most from 0 to 1, and 1 or more of the others."
        )

    def rule(p: Tensor, overfitting: Tensor, since: int, seen: int) -> Tensor:
        return (p + (overfitting - target).sign() * (since / images)).clamp(0, most)

    return Augmentation(named(groups, GROUPS), rule, 0.0, every)


def steady(
    p: float = 0.3, ramp: Ramp = always, groups: tuple[str, ...] = ("blits", "geometry", "colour")
) -> Augmentation:
    """The changes of `ada` with chance p times a ramp of images seen (Huang et al. 2024, arXiv:2501.05441)."""
    if not 0 <= p <= 1:
        raise UsageError(f"The chance of an augmentation is {p}: give a number from 0 to 1.")

    def rule(held: Tensor, overfitting: Tensor, since: int, seen: int) -> Tensor:
        return torch.full_like(held, p * ramp(seen))

    return Augmentation(named(groups, GROUPS), rule, p * ramp(0))


def shifted(x: Tensor, share: float) -> Tensor:
    """Images mirrored with chance 1/2 and carried by up to a share of each side, the border reflected.

    Twice differentiable. Raises a `UsageError` for a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise UsageError(f"Images are shifted by up to {share} of their sides: give a share from 0 to below 1.")
    return moved(mirrored(x, _coin(x)), _offsets(x, share))


def named(names: Sequence[str], table: Mapping[str, Group]) -> list[Group]:
    """The groups of these names, in their order; raises a `UsageError` for none or an unknown one."""
    for name in names or ("",):
        if name not in table:
            raise UsageError(f"There is no group of augmentations {name!r}; {nearest(name, table)}")
    return [table[name] for name in names]


# Groups: what is drawn, and how it is put together.


def blits(x: Tensor, p: Tensor) -> Tensor:
    """Mirroring, turns and shifts that move whole pixels (Karras et al. 2020, appendix B)."""
    x = mirrored(x, _some(p, _coin(x)))
    x = turned(x, _some(p, chance.integers(x, 0, 4)))
    return moved(x, _some(p, _offsets(x, FURTHEST)))


def geometry(x: Tensor, p: Tensor) -> Tensor:
    """Scale, rotation before and after a stretch, and shift by parts of a pixel (Karras et al. 2020, appendix B).

    The law of each is that of its inverse too, so what is drawn leads from new places to old ones.
    """
    height, width = x.shape[2:]
    either = 1 - (1 - p).sqrt()  # of two rotations: any happens with chance p
    scale, stretch = _some(p, 0.2 * _normal(x)), _some(p, 0.2 * _normal(x))
    before, after = _some(either, _angle(x)), _some(either, _angle(x))
    shift = _some(p, torch.stack([width * _normal(x), height * _normal(x)], 1) * FURTHEST)
    places = scaling(scale, scale) @ rotation(before) @ scaling(stretch, -stretch) @ rotation(after)
    return warped(x, places @ translation(shift))


def colour(x: Tensor, p: Tensor) -> Tensor:
    """Brightness, contrast, luma flip, hue and saturation, in this order (Karras et al. 2020, appendix B)."""
    n = colours(x)
    light = contrast(n, _some(p, 0.5 * _normal(x)).exp2()) @ brightness(n, _some(p, 0.2 * _normal(x)))
    tint = hue(n, _some(p, _angle(x))) @ luma(n, _some(p, _coin(x)).to(x.dtype))
    return coloured(x, saturation(n, _some(p, _normal(x)).exp2()) @ tint @ light)


def tones(x: Tensor, p: Tensor) -> Tensor:
    """Brightness +-1/2, saturation x 0 to 2, contrast about the image's mean x 1/2 to 3/2 (Zhao et al. 2020)."""
    n, added = colours(x), _some(p, _uniform(x) - 0.5)
    vivid = saturation(n, 1 + _some(p, 2 * _uniform(x) - 1)) @ brightness(n, added)
    return coloured(x, contrast(n, 1 + _some(p, _uniform(x) - 0.5), mean_colour(x) + added) @ vivid)


def slid(x: Tensor, p: Tensor) -> Tensor:
    """A shift by up to 1/8 of each side onto nothing (Zhao et al. 2020)."""
    steps = _some(p, _offsets(x, FURTHEST))
    rows, columns = ((at >= 0) & (at < side) for at, side in zip(places_before(x, steps), x.shape[2:], strict=True))
    return kept(moved(x, steps), rows[:, :, None] & columns[:, None])


def cut(x: Tensor, p: Tensor) -> Tensor:
    """A box of half the sides is emptied, its centre anywhere; what hangs over is cut off (Zhao et al. 2020)."""
    centres = torch.stack([chance.integers(x, 0, side) for side in x.shape[2:]], 1)
    starts = centres - torch.tensor([side // 4 for side in x.shape[2:]], device=x.device)
    rows, columns = (
        (at >= 0) & (at < side // 2) for at, side in zip(places_before(x, starts), x.shape[2:], strict=True)
    )
    return kept(x, ~_some(p, rows[:, :, None] & columns[:, None]))


GROUPS: Mapping[str, Group] = {"blits": blits, "geometry": geometry, "colour": colour}
POLICY: Mapping[str, Group] = {"colour": tones, "shift": slid, "cutout": cut}


# Draws: one for each image of x.


def _some(p: Tensor, values: Tensor) -> Tensor:
    """Values (B, ...) with chance p each image, else 0."""
    chosen = chance.uniform(values) < p
    return values * chosen.view(-1, *[1] * (values.ndim - 1))


def _uniform(x: Tensor) -> Tensor:
    return chance.uniform(x).to(x.dtype)


def _normal(x: Tensor) -> Tensor:
    return chance.noise(x[:, 0, 0, 0])


def _angle(x: Tensor) -> Tensor:
    return math.pi * (2 * _uniform(x) - 1)


def _coin(x: Tensor) -> Tensor:
    return chance.uniform(x) < 0.5


def _offsets(x: Tensor, share: float) -> Tensor:
    """Whole pixels down and right, (B, 2), up to a share of each side either way."""
    most = [int(share * side) for side in x.shape[2:]]
    return torch.stack([chance.integers(x, -m, m + 1) for m in most], 1)
