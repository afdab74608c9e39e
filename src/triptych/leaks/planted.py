"""Copies that must be found: training images, damaged as a copy may be."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from triptych import chance
from triptych.data.stream import moved
from triptych.pixels import HALF, as_picture, has_alpha, to_float, to_uint8

SHIFT = 1  # pixels, in both directions
BRIGHTER = 0.05
NOISE = 2  # levels
QUALITY = 90  # of the JPEG, colours at full resolution
DAMAGE = (
    f"mirrored (every second one), moved by up to {SHIFT} px with the border reflected, up to {BRIGHTER:.0%} brighter "
    f"or darker, up to {NOISE} levels of noise on every value, then saved as JPEG of quality {QUALITY}"
)


def planted(images: Tensor, seed: int = 0) -> Tensor:
    """uint8 images (B, C, H, W), each with all of DAMAGE at once; alpha has the noise but not the rest."""
    draw, (count, channels) = chance.generator("planted", seed), images.shape[:2]
    flips = torch.rand(count, generator=draw) < 0.5
    shifts = torch.randint(-SHIFT, SHIFT + 1, (count, 2), generator=draw)
    shifts *= torch.tensor([side > SHIFT for side in images.shape[2:]])
    x = (to_float(moved(images, flips, shifts)) + 1) * HALF
    colour = slice(0, channels - has_alpha(channels))
    x[:, colour] *= 1 + BRIGHTER * (2 * torch.rand(count, 1, 1, 1, generator=draw) - 1)
    x = (x + torch.randint(-NOISE, NOISE + 1, x.shape, generator=draw)).clamp(0, 255).round()
    x[:, colour] = torch.stack([_saved(image) for image in x[:, colour].to(torch.uint8)]).float()
    return to_uint8(x / HALF - 1)


def _saved(image: Tensor) -> Tensor:
    """Grey or colour (C, H, W) as it comes back from a JPEG file."""
    from PIL import Image

    file = io.BytesIO()
    as_picture(image).save(file, "JPEG", quality=QUALITY, subsampling=0)
    array = np.array(Image.open(file, formats=["JPEG"]))
    return torch.from_numpy(array).view(*image.shape[1:], -1).permute(2, 0, 1)
