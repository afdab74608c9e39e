"""Classes and texts, as models are told of them: whether, as what, and hidden now and then.

Notation: B batch, L bytes; labels (B,) are whole numbers, -1 for the class that is not known; text (B, L) holds the
bytes of UTF-8 with -1 behind their end, and nothing but -1 for the text that is not known.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from triptych.core import LONGEST, Given
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
    """What is given, with class and text hidden together of a share of the images.

    Together, for guidance leads away from what is told of neither: Ho and Salimans (2022, arXiv:2207.12598,
    algorithm 1) draw once for all of what is told.
    """
    heard = [name for name in ("labels", "text") if name in given]
    if not heard:
        return given
    hidden = torch.rand(len(given[heard[0]]), device=given[heard[0]].device) < share  # (B,)
    return {**given, **{name: _hidden(given[name], hidden) for name in heard}}


def _hidden(values: Tensor, hidden: Tensor) -> Tensor:
    """Values (B, ...) with -1 in the rows that are hidden (B,)."""
    return values.masked_fill(hidden.view(-1, *[1] * (values.ndim - 1)), -1)


def plain(text: str) -> str:
    """A text in its one form: composed characters (NFC of Unicode), single spaces, none at the ends.

    Of a text that has more than `LONGEST` bytes in this form, enough of it to be seen as too long.
    """
    words = text.split(None, LONGEST + 1)[: LONGEST + 1]  # what comes after them is cut, or refused, in any case
    return " ".join(unicodedata.normalize("NFC", word[: 2 * LONGEST]) for word in words)  # slow where marks pile up


def cut(text: str, most: int = LONGEST) -> str:
    """As much of a text as fits into so many bytes, in whole characters."""
    return text.encode()[:most].decode(errors="ignore")


def written(texts: Sequence[str], length: int = 0) -> Tensor:
    """Texts as `text` (B, L); L is `length`, or that of the longest, and at least 1."""
    rows = [text.encode() for text in texts]
    width = max(1, length, *map(len, rows))
    return torch.tensor([[*row, *[-1] * (width - len(row))] for row in rows], dtype=torch.int64)


def read(text: Tensor) -> list[str]:
    """The texts of `text` (B, L)."""
    return [bytes(row[row >= 0].tolist()).decode(errors="replace") for row in text.cpu()]
