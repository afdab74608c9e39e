"""Images brought to one size and one number of channels, by arithmetic that is named and noted.

`crop` keeps the middle of the image, `pad` keeps all of it between black (or transparent) bars,
`stretch` changes its shape. Resizing is Lanczos with the filter widened when shrinking, in
premultiplied colour where there is alpha, so that no halo grows around an outline.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from triptych.data.decode import Pixels
from triptych.errors import UsageError, nearest

FITS = ("crop", "pad", "stretch")
LARGEST_SIDE = 4096
_KINDS = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}
Size = tuple[int, int]  # height, width
Box = tuple[float, float, float, float]  # left, top, right, bottom
Plane = NDArray[Any]  # (H, W), uint8 or float32


def check(size: int | Size | None, channels: int | None, fit: str) -> Size | None:
    """The wished size as (height, width), after all three wishes were found possible."""
    if fit not in FITS:
        raise UsageError(f"fit is {fit!r}: {nearest(fit, FITS)}")
    if channels not in (None, *_KINDS):
        raise UsageError(f"channels is {channels!r}: give 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGBA).")
    sides = (size, size) if isinstance(size, int) else size
    if sides is not None and not _possible(sides):
        raise UsageError(f"size is {size!r}: give one side or (height, width), from 1 to {LARGEST_SIDE}.")
    return None if sides is None else (sides[0], sides[1])


def _possible(sides: object) -> bool:
    whole = isinstance(sides, (tuple, list)) and len(sides) == 2 and all(isinstance(n, int) for n in sides)
    return whole and all(1 <= side <= LARGEST_SIDE for side in sides)  # type: ignore[attr-defined]


def fit_to(pixels: Pixels, size: Size, fit: str = "crop") -> tuple[Pixels, tuple[str, ...]]:
    """(H, W, C) to (*size, C), and a note where that had to invent pixels."""
    height, width, channels = pixels.shape
    if (height, width) == size:
        return pixels, ()
    rows, columns = size[0] / height, size[1] / width  # enlargement of each side
    notes = (f"upscaled from {height}x{width}",) if _enlarges(rows, columns, fit) else ()
    if fit == "stretch":
        return _resized(pixels, size), notes
    if fit == "crop":
        scale = max(rows, columns)
        high, wide = min(size[0] / scale, height), min(size[1] / scale, width)
        left, top = (width - wide) / 2, (height - high) / 2
        return _resized(pixels, size, (left, top, left + wide, top + high)), notes
    scale = min(rows, columns)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = np.zeros((*size, channels), np.uint8)
    canvas[top : top + inner[0], left : left + inner[1]] = _resized(pixels, inner)
    return canvas, notes


def _enlarges(rows: float, columns: float, fit: str) -> bool:
    return (min(rows, columns) if fit == "pad" else max(rows, columns)) > 1


def _resized(pixels: Pixels, size: Size, box: Box | None = None) -> Pixels:
    """Lanczos; with alpha in floats, since colour must be divided by it before anything is rounded."""
    planes = [pixels[:, :, channel] for channel in range(pixels.shape[2])]
    if pixels.shape[2] in (1, 3):
        return np.dstack([_lanczos(plane, size, box) for plane in planes])
    *colours, alpha = planes
    weight = alpha.astype(np.float32)
    opacity = _lanczos(weight, size, box)
    seen = np.maximum(opacity, 0.5)  # below this alpha rounds to zero, and there is no colour
    straight = [_lanczos(colour * weight, size, box) / seen for colour in colours]
    resized: Pixels = np.rint(np.dstack([*straight, opacity]).clip(0, 255)).astype(np.uint8)
    resized[resized[:, :, -1] == 0] = 0
    return resized


def _lanczos(plane: Plane, size: Size, box: Box | None) -> Plane:
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.LANCZOS, box))


def channels_for(counts: Iterable[int]) -> int:
    """The fewest channels that hold images of all these counts without loss.

    >>> channels_for([1, 1]), channels_for([1, 2]), channels_for([1, 3]), channels_for([2, 3])
    (1, 2, 3, 4)
    """
    counts = set(counts)
    return 1 + 2 * bool(counts & {3, 4}) + bool(counts & {2, 4})


def channel_note(present: int, wanted: int) -> tuple[str, ...]:
    """What `to_channels` does, where that is worth a line: an opaque alpha is not."""
    colour, alpha = (present > 2, wanted > 2), (present in (2, 4), wanted in (2, 4))
    lost = (alpha[0] and not alpha[1]) or (colour[0] and not colour[1])
    how = " over white" if alpha[0] and not alpha[1] else ""
    gained = colour[1] and not colour[0]
    return (f"{_KINDS[present]} to {_KINDS[wanted]}{how}",) if lost or gained else ()


def to_channels(pixels: Pixels, wanted: int) -> Pixels:
    """(..., C) to (..., wanted): grey is repeated, colour weighed (ITU-R 601), alpha laid over white."""
    present = pixels.shape[-1]
    if present == wanted:
        return pixels
    colour, alpha = (pixels[..., :-1], pixels[..., -1:]) if present in (2, 4) else (pixels, None)
    if alpha is not None and wanted in (1, 3):
        over_white = colour * (alpha / 255) + (255 - alpha.astype(np.float64))
        colour = np.rint(over_white).astype(np.uint8)
    if colour.shape[-1] == 1 and wanted > 2:
        colour = np.repeat(colour, 3, axis=-1)
    if colour.shape[-1] == 3 and wanted < 3:
        colour = np.rint(colour @ np.array([[0.299], [0.587], [0.114]])).astype(np.uint8)
    if wanted in (1, 3):
        return np.ascontiguousarray(colour)
    opaque = np.full((*colour.shape[:-1], 1), 255, np.uint8)
    return np.concatenate([colour, opaque if alpha is None else alpha], axis=-1)
