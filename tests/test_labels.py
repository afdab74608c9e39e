"""Classes as models are told of them."""

from __future__ import annotations

import pytest
import torch

from triptych.errors import UsageError
from triptych.labels import classes_of, told, with_gaps


def test_a_model_is_told_of_all_classes_or_of_none() -> None:
    assert (classes_of(True, 3), classes_of(False, 3), classes_of(False, 0)) == (3, 0, 0)
    with pytest.raises(UsageError, match="no classes"):
        classes_of(True, 0)


def test_a_class_is_a_row_and_the_unknown_one_is_zero() -> None:
    assert told(torch.tensor([1, -1, 0]), 2).tolist() == [[0, 1], [0, 0], [1, 0]]


def test_a_share_of_labels_is_hidden() -> None:
    torch.manual_seed(0)
    labels = torch.arange(10_000) % 7
    hidden = with_gaps({"labels": labels}, 0.3)["labels"]
    assert float((hidden == -1).float().mean()) == pytest.approx(0.3, abs=5 * (0.21 / 10_000) ** 0.5)
    assert torch.equal(hidden[hidden >= 0], labels[hidden >= 0])
    assert torch.equal(with_gaps({"labels": labels}, 0.0)["labels"], labels)
    assert with_gaps({}, 0.5) == {}
