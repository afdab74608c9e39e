"""Classes and texts as models are told of them."""

from __future__ import annotations

import pytest
import torch

from triptych.errors import UsageError
from triptych.labels import classes_of, cut, plain, read, told, with_gaps, written


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


def test_class_and_text_are_hidden_together() -> None:
    torch.manual_seed(0)
    labels, text = torch.arange(2_000) % 3, written(["words"]).expand(2_000, -1)
    heard = with_gaps({"labels": labels, "text": text}, 0.5)
    assert torch.equal(heard["labels"] == -1, (heard["text"] == -1).all(1))
    assert torch.equal(heard["labels"] == -1, (heard["text"] == -1).any(1))
    torch.manual_seed(0)
    assert torch.equal(with_gaps({"labels": labels}, 0.5)["labels"], heard["labels"])
    torch.manual_seed(0)
    assert torch.equal(with_gaps({"text": text}, 0.5)["text"], heard["text"])


def test_texts_are_bytes_and_come_back() -> None:
    texts = ["a b", "", "é☂"]
    text = written(texts)
    assert text.tolist() == [[97, 32, 98, -1, -1], [-1] * 5, [0xC3, 0xA9, 0xE2, 0x98, 0x82]]
    assert read(text) == read(written(texts, 9)) == texts
    assert written(texts, 9).shape == (3, 9)
    assert written([""]).shape == (1, 1)


def test_a_text_has_one_form_and_is_cut_between_characters() -> None:
    assert plain(" e\u0301a \n\t b ") == "éa b"
    assert [cut("aéb", most) for most in range(5)] == ["", "a", "a", "aé", "aéb"]
