"""A linear probe on problems whose best accuracy is known."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.errors import DataError
from triptych.metrics.probe import linear_probe


def test_two_gaussians_reach_the_best_rule() -> None:
    """Classes at -1 and 1, deviation 1: the best rule is right on Phi(1) = 0.8413 of rows; 5 standard errors."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(4000) % 2
    x = torch.randn(4000, 3, generator=draw) * torch.tensor([1.0, 50.0, 0.01])
    x[:, 0] += 2.0 * labels - 1
    found = linear_probe(x[:2000], labels[:2000], x[2000:], labels[2000:])
    best = 0.5 * (1 + math.erf(math.sqrt(0.5)))
    assert abs(found.value - best) < 5 * math.sqrt(best * (1 - best) / 2000)
    assert found.low < best < found.high


def test_separate_classes_are_all_right_and_labels_need_not_count_up() -> None:
    labels = torch.tensor([3, 7, 40]).repeat(30)
    x = torch.nn.functional.one_hot(labels).float()
    assert linear_probe(x, labels, x, labels).value == 1


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="two classes"):
        linear_probe(torch.rand(9, 2), torch.ones(9), torch.rand(9, 2), torch.ones(9))
