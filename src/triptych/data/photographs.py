"""Single image files, brought to the size and channels of a model as the files of a folder are."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from triptych.core import Shape
from triptych.data.arrays import ArraySource
from triptych.data.decode import Pixels
from triptych.data.worker import Task, perform
from triptych.errors import DataError


def is_photograph(where: str) -> bool:
    """Whether this is one file that holds no other images: no folder, archive or array."""
    path = Path(where)
    try:
        return path.is_file() and path.suffix.lower() != ".npz" and not zipfile.is_zipfile(path)
    except (OSError, ValueError):  # such as a name that is too long
        return False


def open_images(paths: Sequence[str | Path], shape: Shape, fit: str = "crop") -> ArraySource:
    """Image files as a source of this shape (C, H, W), each named as its file, in the order given.

    Raises a `DataError` for the first that cannot be read or decoded.
    """
    images = [_opened(Path(path), shape, fit) for path in paths]
    return ArraySource(np.stack(images), names=[Path(path).name for path in paths])


def _opened(path: Path, shape: Shape, fit: str) -> Pixels:
    """One image, uint8 (C, H, W)."""
    channels, height, width = shape
    try:
        reply = perform(Task(height, width, fit, channels), path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); give an image file.") from error
    if reply.refused:
        raise DataError(f"{path} is not used: {reply.refused}; give another image.")
    return np.frombuffer(reply.pixels, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)
