"""Real images and a small extractor that tests of the privacy room share."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from triptych.data.arrays import ArraySource
from triptych.extractors import Extractor, Seen


def blobs(count: int, seed: int = 0, channels: int = 1, side: int = 16) -> Tensor:
    """Smooth random images, uint8 (count, channels, side, side): no two are alike."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 4, 4, generator=draw)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)
    return (smooth * 255).round().to(torch.uint8)


def source(images: Tensor, labels: Tensor | None = None, names: tuple[str, ...] = ()) -> ArraySource:
    return ArraySource(images.numpy(), None if labels is None else labels.numpy().astype(np.int64), names)


def _averages(images: Tensor) -> Seen:
    return Seen(adaptive_avg_pool2d(images.float(), 4).flatten(1))


AVERAGES = Extractor("averages", "averages over 4x4 blocks", _averages)
