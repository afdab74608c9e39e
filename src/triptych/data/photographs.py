"""Single image files, brought to the size and channels of a model as the files of a folder are."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from triptych.core import Shape
from triptych.data.arrays import ArraySource
from triptych.data.decode import MOST_BYTES
from triptych.data.fit import Size
from triptych.data.worker import Reply, Task, Workers
from triptych.errors import DataError
from triptych.intake import bytes_of


def is_photograph(where: str) -> bool:
    """Whether this is one file that holds no other images: no folder, archive or array."""
    path = Path(where)
    try:
        return path.is_file() and path.suffix.lower() != ".npz" and not zipfile.is_zipfile(path)
    except (OSError, ValueError):  # such as a name that is too long
        return False


def open_images(paths: Sequence[str | Path], shape: Shape, fit: str = "crop") -> ArraySource:
    """Image files as a source of this shape (C, H, W), each named as its file, in the order given.

    They are decoded in a child process, as all files are. Raises a `DataError` for the first that cannot be
    read or decoded.
    """
    channels, height, width = shape
    replies = _replies(paths, Task(height, width, fit, channels))
    images = np.frombuffer(b"".join(reply.pixels for reply in replies), np.uint8)
    images = images.reshape(len(replies), height, width, channels).transpose(0, 3, 1, 2)
    return ArraySource(np.ascontiguousarray(images), names=[Path(path).name for path in paths])


def sides(path: str | Path) -> Size:
    """(height, width) of an image file, upright; raises as `open_images` does."""
    return _replies([path], Task(0, 0, "crop", 0))[0].size


def _replies(paths: Sequence[str | Path], task: Task) -> list[Reply]:
    """What becomes of each file, all of it used."""
    found: list[Reply] = []
    with Workers(1) as workers:
        answers = workers.map(task, [[partial(_read, Path(path))] for path in paths])
        for path, (reply,) in zip(paths, answers, strict=True):
            if reply.refused:
                raise DataError(f"{path} is not used: {reply.refused}; give another image.")
            found.append(reply)
    return found


def _read(path: Path) -> bytes:
    try:
        return bytes_of(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({reason}); give an image file.") from error
