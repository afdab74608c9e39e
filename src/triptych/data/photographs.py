"""A few image files named one by one, brought to the size and channels of a model."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from triptych.core import Shape
from triptych.data.arrays import ArraySource
from triptych.data.decode import Pixels, Refused, decode
from triptych.data.fit import fit_to, to_channels
from triptych.errors import DataError


def is_photograph(where: str) -> bool:
    """Whether this is one file that holds no other images: no folder, archive or array."""
    path = Path(where)
    try:
        return path.is_file() and path.suffix.lower() != ".npz" and not zipfile.is_zipfile(path)
    except (OSError, ValueError):  # such as a name that is too long
        return False


def photographs(paths: Sequence[str], shape: Shape, fit: str) -> ArraySource:
    """Image files (C, H, W) in the order given, named by their files; raises a `DataError` for one that is none."""
    images = np.stack([_brought(Path(path), shape, fit) for path in paths])
    return ArraySource(images, names=[Path(path).name for path in paths])


def _brought(path: Path, shape: Shape, fit: str) -> Pixels:
    if not path.is_file():
        raise DataError(f"{path} is no image file: give the names of images, or one folder, zip, .npz or pack.")
    try:
        pixels = decode(path.read_bytes()).pixels
    except (Refused, OSError) as reason:
        raise DataError(f"{path} is not used: {reason}; give another image.") from reason
    pixels = to_channels(fit_to(pixels, shape[1:], fit)[0], shape[0])
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
