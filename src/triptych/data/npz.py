"""Images from an .npz file: uint8 (N, H, W) or (N, H, W, C) under "images", with "labels" if wished."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from triptych.data.arrays import MOST_IN_MEMORY, ArraySource, Labels
from triptych.data.zipped import Archive
from triptych.errors import DataError
from triptych.words import shown

_KEYS = ("images", "x", "arr_0")
MOST_CLASSES = 10_000


def read_npz(path: Path) -> ArraySource:
    """The images of an .npz file, or `DataError` with the cure."""
    where = shown(str(path))
    try:
        with Archive(path) as file, zipfile.ZipFile(file) as members:
            total = sum(member.file_size for member in members.infolist())
            if total > MOST_IN_MEMORY:
                raise DataError(f"{where} holds {total:,} bytes, too many to read at once: pack the files themselves.")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                key = next((key for key in _KEYS if key in arrays), None)
                if key is None:
                    found = shown(", ".join(arrays))[:200] or "nothing"
                    raise DataError(f"{where} holds {found}: name the images 'images'.")
                images, labels = arrays[key], arrays.get("labels")
    except DataError:
        raise
    except Exception as error:  # a file that lies makes the readers raise anything
        raise DataError(f"{where} is damaged or holds more than plain arrays ({error}).") from error
    images = _images(images, where)
    if labels is None:
        return ArraySource(images)
    labels = _labels(labels, len(images), where)
    return ArraySource(images, labels, [str(label) for label in range(labels.max() + 1)])


def _images(images: Any, where: str) -> Any:
    """(N, H, W) or (N, H, W, C) to (N, C, H, W)."""
    if images.dtype != np.uint8:
        raise DataError(f"The images in {where} are {images.dtype}: save 0 to 255 as uint8.")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim == 4 and images.shape[1] in (1, 2, 3, 4) and images.shape[3] not in (1, 2, 3, 4):
        raise DataError(f"The images in {where} are (N, C, H, W): save images.transpose(0, 2, 3, 1).")
    if images.ndim != 4 or images.shape[3] not in (1, 2, 3, 4) or 0 in images.shape:
        raise DataError(f"The images in {where} are {images.shape}: save (N, H, W, C) with 1 to 4 channels.")
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _labels(labels: Any, count: int, where: str) -> Labels:
    if labels.shape != (count,):
        raise DataError(f"The labels in {where} are {labels.shape} for {count:,} images: save one for each.")
    if labels.dtype.kind not in "iu":
        raise DataError(f"The labels in {where} are {labels.dtype}: save whole numbers from 0.")
    wrong = np.nonzero((labels < 0) | (labels >= MOST_CLASSES))[0]
    if len(wrong):
        row = int(wrong[0])
        raise DataError(f"Label {row} in {where} is {labels[row]}: save numbers from 0 to {MOST_CLASSES - 1:,}.")
    return np.asarray(labels, dtype=np.int64)
