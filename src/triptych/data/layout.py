"""What the folders around images mean: classes, official splits, or nothing.

1. While all images lie in one and the same folder, that folder is the root.
2. If the root holds train/ and one or more of test/, val/, valid/, validation/ and nothing else,
   those are the official split, and each side is read as below (rule 1 applies again).
3. If all images lie in folders, the first folder of each is its class. Deeper ones mean nothing.
4. If some lie beside those folders, there are no classes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from triptych.words import shown

TRAIN, HELD_OUT = "train", frozenset({"test", "val", "valid", "validation"})


class Layout(NamedTuple):
    """What the names of images say."""

    class_names: tuple[str, ...]  # in order; () without classes
    labels: NDArray[np.int64] | None
    validation: NDArray[np.bool_] | None  # None: no official split
    notes: tuple[str, ...]


def layout(names: Sequence[str], folders: Sequence[str] = ()) -> Layout:
    """Read the relative names ("train/cat/1.png") of images, and of folders to find the empty ones."""
    names, around = _rooted(names, folders)
    notes: list[str] = []
    validation = _official(names, notes)
    if validation is not None:
        names, around = _rooted(*([name.partition("/")[2] for name in some] for some in (names, around)))
    folders_used = {_top(name) for name in names}
    if folders_used <= {""} or "" in folders_used:
        if folders_used - {""}:
            notes.append("images lie both in folders and beside them: no folder is taken for a class")
        return Layout((), None, validation, tuple(notes))
    class_names = _ordered(folders_used)
    empty = sorted({name.partition("/")[0] for name in around if name} - folders_used, key=os.fsencode)
    notes += [f"folder {shown(name)} has no image that can be used and is no class" for name in empty]
    order = {name: index for index, name in enumerate(class_names)}
    labels = np.fromiter((order[_top(name)] for name in names), np.int64, len(names))
    return Layout(class_names, labels, validation, tuple(notes))


def _top(name: str) -> str:
    """The first folder of a name, "" for a name without one."""
    folder, slash, _ = name.partition("/")
    return folder if slash else ""


def _ordered(names: set[str]) -> tuple[str, ...]:
    """Classes in the order of their bytes; where all are whole numbers, in the order of those."""
    numbers = all(re.fullmatch("[0-9]{1,18}", name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, os.fsencode(name))))


def _rooted(names: Sequence[str], folders: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Both without the folders that all images lie in, which are those of the first and the last of them."""
    first, last = (min(names), max(names)) if names else ("", "")
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    root = first[: first.rfind("/", 0, same) + 1]
    if not root:
        return names, folders
    return [name[len(root) :] for name in names], [name[len(root) :] for name in folders if name.startswith(root)]


def _official(names: Sequence[str], notes: list[str]) -> NDArray[np.bool_] | None:
    """True for the images of the held-out side, where the top folders are such sides."""
    tops = {_top(name).lower() for name in names}
    if TRAIN not in tops or len(tops) < 2 or not tops <= {TRAIN, *HELD_OUT}:
        return None
    if len(tops) > 2:
        notes.append(f"{' and '.join(sorted(tops - {TRAIN}))} together are the validation side")
    return np.fromiter((_top(name).lower() != TRAIN for name in names), np.bool_, len(names))
