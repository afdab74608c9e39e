"""Changes of images: pure functions of them and of parameters, one row an image, on the images' device.

Each keeps the shape and goes with any number of channels and any sides; an image's result follows from its
own parameters alone.

Notation: B batch, C channels, n of them colours, H W image sides; x images in [-1, 1], mid-grey 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from triptych.pixels import has_alpha


def mirrored(x: Tensor, which: Tensor) -> Tensor:
    """Left for right where `which` (B,) says so."""
    return torch.where(_each(which), x.flip(3), x)


def turned(x: Tensor, quarters: Tensor) -> Tensor:
    """Turned left by 0 to 3 quarters (B,); images that are not square only by the half turn in them."""
    x = torch.where(_each(quarters >= 2), x.flip((2, 3)), x)
    return torch.where(_each(quarters % 2 == 1), x.rot90(1, (2, 3)), x) if x.shape[2] == x.shape[3] else x


def moved(x: Tensor, steps: Tensor) -> Tensor:
    """Carried down and right by whole pixels (B, 2), fewer than the sides; the border is reflected, not repeated."""
    rows, columns = (
        side - 1 - (at.abs() - (side - 1)).abs() for at, side in zip(places_before(x, steps), x.shape[2:], strict=True)
    )
    x = x.gather(2, rows[:, None, :, None].expand_as(x))
    return x.gather(3, columns[:, None, None].expand_as(x))


def kept(x: Tensor, where: Tensor) -> Tensor:
    """The images at places (B, H, W), else nothing: mid-grey, or transparent where there is alpha."""
    return torch.where(where[:, None], x, -1.0 if has_alpha(x.shape[1]) else 0.0)


def warped(x: Tensor, places: Affine) -> Tensor:
    """Bilinear: a new place (across, down) in px from the centre shows what is at `places` of it, n = 2.

    The border is reflected. Images of no change stay as they are, to the bit. Differentiable once.
    """
    height, width = x.shape[2:]
    across = (torch.arange(width, device=x.device, dtype=x.dtype) - (width - 1) / 2)[None, None]
    down = (torch.arange(height, device=x.device, dtype=x.dtype) - (height - 1) / 2)[None, :, None]
    mix, added = places.mix[:, :, :, None, None], places.added[:, :, None, None]
    sides = x.new_tensor([width, height])[:, None, None]
    grid = (mix[:, :, 0] * across + mix[:, :, 1] * down + added) * (2 / sides)  # (B, 2, H, W), +-1 at the border
    new = grid_sample(x, grid.movedim(1, 3), mode="bilinear", padding_mode="reflection", align_corners=False)
    return torch.where(_each(places.changes()), new, x)


def coloured(x: Tensor, change: Affine) -> Tensor:
    """Straight colour c in [-1, 1] becomes M c + t.

    What is premultiplied stays so: as a share of white, q = alpha (c + 1) / 2 becomes M q + alpha (t + 1 - M 1) / 2,
    and not more than alpha where it was not. Images of no change stay as they are, to the bit.
    """
    n, alpha = colours(x), opacity(x)
    share = (x[:, :n] + 1) / 2
    added = (change.added + 1 - change.mix.sum(2)) / 2  # (B, n)
    new = added[:, :, None, None] * alpha
    for index in range(n):
        new = new + change.mix[:, :, index, None, None] * share[:, index, None]
    if has_alpha(x.shape[1]):
        new = new.minimum(share.maximum(alpha))
    new = torch.where(_each(change.changes()), 2 * new - 1, x[:, :n])
    return torch.cat([new, x[:, n:]], 1)


def colours(x: Tensor) -> int:
    """How many of the channels are colours."""
    return x.shape[1] - has_alpha(x.shape[1])


def opacity(x: Tensor) -> Tensor:
    """Alpha in [0, 1], (B, 1, H, W); 1 where there is none."""
    return (x[:, -1:] + 1) / 2 if has_alpha(x.shape[1]) else torch.ones_like(x[:, :1])


def mean_colour(x: Tensor) -> Tensor:
    """The mean of an image's straight colours in [-1, 1], weighed by alpha (by one pixel's at least), (B,)."""
    weight = opacity(x).sum((1, 2, 3)).clamp(min=1)
    return (x[:, : colours(x)] + 1).sum((1, 2, 3)) / (weight * colours(x)) - 1


# Parameters of a change: exactly none where nothing is asked.


class Affine(NamedTuple):
    """v -> M v + t for each image; `@` takes the right one first, and rounds in full precision on any device."""

    mix: Tensor  # M, (B, n, n)
    added: Tensor  # t, (B, n)

    def __matmul__(self, first: Affine) -> Affine:
        mix = (self.mix[:, :, :, None] * first.mix[:, None]).sum(2)
        return Affine(mix, (self.mix * first.added[:, None]).sum(2) + self.added)

    def changes(self) -> Tensor:
        """Where it is not the identity, (B,)."""
        return (self.mix != _eye(self.mix.shape[1], self.mix)).flatten(1).any(1) | (self.added != 0).any(1)


def scaling(across: Tensor, down: Tensor) -> Affine:
    """2^across times as wide, 2^down times as high, (B,) each."""
    powers = torch.stack([across, down], 1).exp2()
    return Affine(powers.diag_embed(), torch.zeros_like(powers))


def rotation(angles: Tensor) -> Affine:
    """By angles (B,) in radians."""
    cosine, sine = angles.cos(), angles.sin()
    mix = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    return Affine(mix, torch.zeros_like(mix[:, 0]))


def translation(steps: Tensor) -> Affine:
    """By px across and down, (B, 2)."""
    return Affine(torch.ones_like(steps).diag_embed(), steps)


def brightness(n: int, added: Tensor) -> Affine:
    """c + added (B,), of n colours."""
    added = added[:, None].expand(-1, n)
    return Affine(torch.ones_like(added).diag_embed(), added)


def contrast(n: int, factor: Tensor, middle: Tensor | float = 0.0) -> Affine:
    """middle + factor (c - middle), (B,) each."""
    return Affine(factor[:, None].expand(-1, n).diag_embed(), ((1 - factor) * middle)[:, None].expand(-1, n))


def luma(n: int, which: Tensor) -> Affine:
    """The grey in c becomes its negative where `which` (B,) is 1, not 0: a reflection."""
    return _mixed(-2 * which, _grey(n, which))


def hue(n: int, angles: Tensor) -> Affine:
    """c turned about the grey axis by angles (B,) in radians (Rodrigues); one colour has no hue."""
    cycle = _eye(n, angles).roll(1, 0)
    spin = (cycle - cycle.T) / math.sqrt(3)  # the cross product with the grey axis
    mix = _mixed(angles.sin(), spin).mix - (1 - angles.cos())[:, None, None] * (_eye(n, spin) - _grey(n, spin))
    return Affine(mix, torch.zeros_like(mix[:, 0]))


def saturation(n: int, factor: Tensor) -> Affine:
    """What is not grey in c, times a factor (B,); one colour is all grey."""
    return _mixed(factor - 1, _eye(n, factor) - _grey(n, factor))


def _mixed(weights: Tensor, core: Tensor) -> Affine:
    """M = I + weight core for each of the weights (B,)."""
    mix = _eye(len(core), core) + weights[:, None, None] * core
    return Affine(mix, torch.zeros_like(mix[:, 0]))


def _eye(n: int, like: Tensor) -> Tensor:
    return torch.eye(n, device=like.device, dtype=like.dtype)


def _grey(n: int, like: Tensor) -> Tensor:
    """The projection to the grey axis, (n, n)."""
    return torch.full((n, n), 1 / n, device=like.device, dtype=like.dtype)


def places_before(x: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Where the rows (B, H) and columns (B, W) were before steps (B, 2) down and right."""
    rows, columns = (torch.arange(side, device=x.device) for side in x.shape[2:])
    return rows - steps[:, :1], columns - steps[:, 1:]


def _each(values: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, 1)."""
    return values[:, None, None, None]
