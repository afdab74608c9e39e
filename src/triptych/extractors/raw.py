"""The pixels themselves as features: for tiny images and exact tests.

Notation: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from triptych.errors import UsageError
from triptych.extractors import Extractor, Seen
from triptych.extractors.seeing import looking
from triptych.pixels import to_float

MOST = 4096  # features, since metrics hold their covariance


def build(device: torch.device) -> Extractor:
    """Features (B, C H W) in [0, 1], channel by channel and row by row, colour multiplied by alpha where there is one.

    Looking at images of more than 4,096 values raises a `UsageError`.
    """
    return Extractor("pixels", "pixels as they are, in [0, 1], colour times alpha", looking(_see, device))


def _see(images: Tensor) -> Seen:
    channels, height, width = images.shape[1:]
    if channels * height * width > MOST:
        raise UsageError(
            f"The extractor pixels is for images of at most {MOST:,} values, and these have "
            f"{channels}x{height}x{width} = {channels * height * width:,}: use the extractor bundled."
        )
    return Seen((to_float(images).flatten(1) + 1) / 2)
