"""Classes, as models are told of them: whether, as what, and hidden now and then.

Notation: B batch; labels (B,) are whole numbers, -1 for the class that is not known.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from triptych.core import Given
from triptych.errors import UsageError


def classes_of(conditional: bool, classes: int) -> int:
    """The classes that a model is told of: all, or none; a sentence where they are asked for and there are none."""
    if conditional and not classes:
        raise UsageError(
            "conditional is true, but the images have no classes: "
            "sort them into folders, one a class, or set model.conditional=false."
        )
    return classes if conditional else 0


def told(labels: Tensor, classes: int) -> Tensor:
    """Labels (B,) as one-hot rows (B, classes), zeros for the label -1."""
    return one_hot(labels + 1, classes + 1)[:, 1:]


def with_gaps(given: Given, share: float) -> Given:
    """What is given, a share of its labels replaced by -1 (Ho and Salimans 2022, arXiv:2207.12598, algorithm 1)."""
    if "labels" not in given:
        return given
    labels = given["labels"]
    hidden = torch.rand(labels.shape, device=labels.device) < share
    return {**given, "labels": labels.masked_fill(hidden, -1)}
