"""Moving pictures: images in a row as GIF, WebP or MP4.

Notation: C channels, H height, W width.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.errors import UsageError, package
from triptych.pixels import as_picture, has_alpha

ENDINGS = (".gif", ".webp", ".mp4")
SIDE = 256  # px that a small image's longer side is enlarged towards, by a whole number
GROUND = 255  # white, under what is transparent in an MP4
LOSS = "17"  # x264's constant rate factor: no difference that an eye sees


def check(path: Path) -> None:
    """Raises a `UsageError` for an ending that is no film's, a `ResourceError` where an MP4 cannot be written here."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"-o {path}: give a name that ends in {', '.join(ENDINGS)}.")
    if path.suffix.lower() == ".mp4":
        _av()


def write(frames: Iterable[Tensor], path: Path, fps: float) -> int:
    """uint8 images (C, H, W) to a film of so many a second; returns how many, and writes aside, then renames.

    WebP is lossless and keeps alpha. GIF has 256 colours an image, alpha that is all or nothing, and whole
    hundredths of a second. MP4 (H.264) has no alpha: it lies over white; a last odd row or column is doubled.
    Raises as `check` does.
    """
    check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    counted = _Counted(enlarged(frame) for frame in frames)
    try:
        if path.suffix.lower() == ".mp4":
            _mp4(counted, aside, fps)
        else:
            _animation(counted, aside, path.suffix.lower()[1:], fps)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return counted.count


def enlarged(image: Tensor) -> Tensor:
    """uint8 (C, H, W) with each pixel repeated so often that the longer side is about `SIDE` px, or as it is."""
    times = max(1, round(SIDE / max(image.shape[1:])))
    return image.repeat_interleave(times, 1).repeat_interleave(times, 2)


class _Counted:
    """Passes frames on and knows how many."""

    def __init__(self, frames: Iterator[Tensor]) -> None:
        self._frames, self.count = frames, 0

    def __iter__(self) -> Iterator[Tensor]:
        for frame in self._frames:
            self.count += 1
            yield frame


def _animation(frames: Iterable[Tensor], path: Path, form: str, fps: float) -> None:
    pictures = (as_picture(frame).convert("RGBA" if has_alpha(len(frame)) else "RGB") for frame in frames)
    exact = 1000 / fps  # milliseconds
    how = {"duration": max(20, round(exact / 10) * 10), "disposal": 2} if form == "gif" else {
        "duration": round(exact), "lossless": True
    }  # fmt: skip
    next(pictures).save(path, form, save_all=True, append_images=pictures, loop=0, **how)


def _mp4(frames: Iterable[Tensor], path: Path, fps: float) -> None:
    av = _av()
    with av.open(str(path), "w", format="mp4") as film:
        stream = None
        for frame in frames:
            pixels = _on_ground(frame)
            if stream is None:
                stream = film.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
                stream.options = {"crf": LOSS}
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        if stream is not None:
            film.mux(stream.encode(None))


def _on_ground(frame: Tensor) -> NDArray[np.uint8]:
    """uint8 (C, H, W) as opaque colour (H', W', 3) with even sides."""
    x = frame.float()
    if has_alpha(len(x)):
        alpha = x[-1:] / 255
        x = x[:-1] * alpha + GROUND * (1 - alpha)
    x = x.expand(3, -1, -1)
    x = torch.cat([x, x[:, -1:]], 1) if x.shape[1] % 2 else x
    x = torch.cat([x, x[:, :, -1:]], 2) if x.shape[2] % 2 else x
    return np.ascontiguousarray(x.round().to(torch.uint8).permute(1, 2, 0).numpy())


def _av() -> Any:
    return package("av", "An MP4 film", "video")
