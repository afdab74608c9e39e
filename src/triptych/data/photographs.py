"""Single image files, brought to the size and channels of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from triptych.core import Shape
from triptych.data.arrays import ArraySource
from triptych.data.decode import Pixels, Refused, decode
from triptych.data.fit import fit_to, to_channels
from triptych.errors import DataError


def open_images(paths: Sequence[str | Path], shape: Shape, fit: str = "crop") -> ArraySource:
    """Image files as a source of this shape (C, H, W), each named as its file, in the order given.

    Raises a `DataError` for the first that cannot be read or decoded.
    """
    return ArraySource(
        np.stack([_opened(Path(path), shape, fit) for path in paths]), names=[Path(path).name for path in paths]
    )


def _opened(path: Path, shape: Shape, fit: str) -> Pixels:
    """One image, uint8 (C, H, W)."""
    try:
        pixels = decode(path.read_bytes()).pixels
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}); give an image file.") from error
    except Refused as reason:
        raise DataError(f"{path} is not used: {reason}; give another image.") from reason
    return to_channels(fit_to(pixels, shape[1:], fit)[0], shape[0]).transpose(2, 0, 1)
