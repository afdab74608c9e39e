"""The reader of bytes: what a word is, what it hears, and what it costs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from triptych.core import LONGEST
from triptych.errors import UsageError
from triptych.labels import written
from triptych.nets.reading import PIECE, ByteReader, split


def reader() -> ByteReader:
    torch.manual_seed(0)
    return ByteReader(features=6, width=16, depth=2, heads=2).eval()


def pieces(text: Tensor) -> list[list[str]]:
    """The words as `split` finds them, as text."""
    member, _ = split(text)
    return [
        [bytes(row[mask].tolist()).decode() for mask in masks if mask.any()]
        for row, masks in zip(text, member, strict=True)
    ]


def test_words_are_runs_of_bytes_in_pieces() -> None:
    long = "x" * PIECE + "y" * PIECE + "z"
    texts = ["a red  heart", "", long, f"{long} b", "  é ", "☂☂☂☂☂"]
    assert pieces(written(texts)) == [
        ["a", "red", "heart"], [], ["x" * PIECE, "y" * PIECE, "z"], ["x" * PIECE, "y" * PIECE, "z", "b"],
        ["é"], ["☂☂☂☂", "☂"],
    ]  # fmt: skip
    most = written([" ".join("a" * 128), "a" * LONGEST])
    assert [len(found) for found in pieces(most)] == [128, 22]
    assert split(written(["ab abc"]))[1].tolist()[0][3:] == [0, 1, 2]


@torch.no_grad()
def test_a_word_enters_the_same_wherever_it_stands() -> None:
    model = reader()
    member, at = split(written(["a red heart", "heart"]))
    entered = member.float() @ model.letter(written(["a red heart", "heart"]).clamp(min=0) + 256 * at)
    torch.testing.assert_close(entered[0, 2], entered[1, 0])
    assert not torch.allclose(entered[0, 1], entered[1, 0])


@torch.no_grad()
def test_every_word_hears_every_other_and_nothing_behind_the_end() -> None:
    model = reader()
    words, heard = model(written(["a red heart", "a red hearT", "ab", ""]))
    assert words.shape == (4, 6, 6)
    assert heard.sum(1).tolist() == [3, 3, 1, 0]
    assert (words[0, :3] != words[1, :3]).any(1).all()
    assert not words[~heard].any()
    for text, row in (("a red heart", 0), ("ab", 2)):
        alone, its = model(written([text], 64))
        count = int(its.sum())
        torch.testing.assert_close(alone[0, :count], words[row, :count], rtol=0, atol=1e-6)


def test_an_unknown_text_has_no_word_and_no_gradient_that_is_no_number() -> None:
    model = reader()
    words, heard = model(torch.full((2, 9), -1))
    assert not heard.any()
    assert not words.any()
    words, _ = model(written(["a b", ""]))
    words.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert all(p.grad.any() for p in model.parameters() if p.grad is not None)


def test_the_order_of_words_and_letters_is_heard() -> None:
    words, _ = reader()(written(["red heart", "heart red", "der heart"]))
    pooled = words.sum(1)
    assert not torch.allclose(pooled[0], pooled[1], atol=1e-4)
    assert not torch.allclose(pooled[0], pooled[2], atol=1e-4)


def test_compiled_it_answers_the_same() -> None:
    model, text = reader(), written(["a red heart", ""])
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="eager")(text), model(text))


def test_wrong_sizes_and_texts_are_named() -> None:
    for wrong in ({"width": 15}, {"heads": 0}, {"depth": 0}, {"features": 0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            ByteReader(**{"heads": 2, **wrong})
    with pytest.raises(UsageError, match="at most 256"):
        reader()(torch.zeros((1, 257), dtype=torch.int64))
