"""What all contestants share when they are measured: the data, the extractor, the reference, the time."""

from __future__ import annotations

from typing import NamedTuple

import torch

from triptych.data import Splits
from triptych.evaluation import read, reference, summarise
from triptych.extractors import Extractor
from triptych.leaks.detector import Detector
from triptych.metrics.summary import Summary
from triptych.screen import Screen

LIMIT = 60.0  # seconds of sampling for one score, at least


class Ground(NamedTuple):
    """The common ground of a comparison."""

    splits: Splits
    look: Extractor
    real: Summary  # of the training images
    held_out: Summary  # of real images that no model was trained on
    detector: Detector  # of copies of training images
    images: int  # generated images behind each score: the same number for all
    device: torch.device
    screen: Screen


def ground(splits: Splits, look: Extractor, images: int, device: torch.device, screen: Screen) -> Ground:
    """The ground of a data set; the reference statistics are read if they were made before."""
    real = reference(splits.train, "train", look)
    held_out = summarise(read(splits.validation), look)
    screen.say("learning what a copy would look like")
    detector = Detector(splits.train, splits.validation, look, known=real.rows)
    return Ground(splits, look, real, held_out, detector, images, device, screen)


def affordable(milliseconds: list[float], seconds: float, wished: int) -> int:
    """So many images that the slowest model makes them within the time of its training, or a minute."""
    slowest = max(milliseconds, default=0.0)
    return max(1, min(wished, int(1000 * max(seconds, LIMIT) / slowest) if slowest else wished))
