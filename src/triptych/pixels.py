"""The one border between files and networks: uint8 in [0, 255] outside, float in [-1, 1] inside.

With 2 or 4 channels the last one is alpha. Files hold straight colour; inside, colour is multiplied
by alpha, so that what cannot be seen cannot be learnt and no dark halo grows around an outline. The
way there and back is exact to the bit, but for colour under an alpha of zero, which becomes zero.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from PIL.Image import Image

HALF = 127.5  # 255 levels on [-1, 1]
LEVELS = 256
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def has_alpha(channels: int) -> bool:
    """Whether images of so many channels carry alpha in the last one."""
    return channels in (2, 4)


def to_float(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W) to float32 in [-1, 1], premultiplied by alpha where there is one."""
    x = images.to(torch.float32)
    if has_alpha(x.shape[1]):
        colour, alpha = x[:, :-1], x[:, -1:]
        x = torch.cat([colour * (alpha / 255), alpha], dim=1)
    return x / HALF - 1


def to_uint8(x: Tensor) -> Tensor:
    """float (B, C, H, W) in [-1, 1] to uint8: clamped, rounded, divided by alpha where there is one."""
    x = (x.float() + 1) * HALF
    if has_alpha(x.shape[1]):
        alpha = x[:, -1:].clamp(0, 255).round()
        colour = torch.where(alpha > 0, x[:, :-1] * 255 / alpha.clamp(min=1), 0)
        x = torch.cat([colour, alpha], dim=1)
    return x.clamp(0, 255).round().to(torch.uint8)


def columns_for(count: int) -> int:
    """Columns of a nearly square grid."""
    return max(1, math.ceil(math.sqrt(count)))


def grid(images: Tensor, columns: int | None = None, scale: int | None = None) -> Tensor:
    """uint8 (N, C, H, W) to one picture (C, H', W'): rows of `columns` with thin gaps between them.

    Small images are enlarged by a whole number, so that a person can see them.
    """
    count, channels, height, width = images.shape
    columns = columns or columns_for(count)
    scale = scale or max(1, round(48 / max(height, width)))
    tiles = interpolate(images.float(), scale_factor=scale, mode="nearest").to(torch.uint8) if scale > 1 else images
    gap, (high, wide) = 2, tiles.shape[-2:]
    rows = math.ceil(count / columns)
    picture = torch.full((channels, rows * (high + gap) + gap, columns * (wide + gap) + gap), 255, dtype=torch.uint8)
    if has_alpha(channels):
        picture[-1] = 0
    for index, tile in enumerate(tiles.cpu()):
        top = gap + (index // columns) * (high + gap)
        left = gap + (index % columns) * (wide + gap)
        picture[:, top : top + high, left : left + wide] = tile
    return picture


def as_picture(image: Tensor) -> Image:
    """uint8 (C, H, W) with 1 to 4 channels as Pillow's image."""
    from PIL import Image

    array = image.cpu().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array, _MODES[array.shape[2]])


def write_png(image: Tensor, path: str | Path) -> Path:
    """uint8 (C, H, W) with 1 to 4 channels to a PNG file without metadata; written aside, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    as_picture(image).save(aside, "PNG")
    os.replace(aside, path)
    return path
