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
Parts = tuple[str, ...]


class Layout(NamedTuple):
    """What the names of images say."""

    class_names: tuple[str, ...]  # in order; () without classes
    labels: NDArray[np.int64] | None
    validation: NDArray[np.bool_] | None  # None: no official split
    notes: tuple[str, ...]


def layout(names: Sequence[str], folders: Sequence[str] = ()) -> Layout:
    """Read the relative names ("train/cat/1.png") of images, and of folders to find the empty ones."""
    paths, around = [tuple(name.split("/")) for name in names], [tuple(name.split("/")) for name in folders]
    paths, around = _rooted(paths, around)
    notes: list[str] = []
    validation = _official(paths, notes)
    if validation is not None:
        paths, around = _rooted([path[1:] for path in paths], [path[1:] for path in around])
    folders_used = {path[0] for path in paths if len(path) > 1}
    if not folders_used or any(len(path) == 1 for path in paths):
        if folders_used:
            notes.append("images lie both in folders and beside them: no folder is taken for a class")
        return Layout((), None, validation, tuple(notes))
    class_names = _ordered(folders_used)
    empty = sorted({path[0] for path in around if path} - folders_used, key=os.fsencode)
    notes += [f"folder {shown(name)} has no image that can be used and is no class" for name in empty]
    order = {name: index for index, name in enumerate(class_names)}
    return Layout(class_names, np.array([order[path[0]] for path in paths]), validation, tuple(notes))


def _ordered(names: set[str]) -> tuple[str, ...]:
    """Classes in the order of their bytes; where all are whole numbers, in the order of those."""
    numbers = all(re.fullmatch("[0-9]{1,18}", name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numbers else 0, os.fsencode(name))))


def _rooted(paths: list[Parts], folders: list[Parts]) -> tuple[list[Parts], list[Parts]]:
    """Both without the folders that all images lie in."""
    depth = 0
    if paths:
        shortest, longest = min(paths), max(paths)
        while depth < min(len(shortest), len(longest)) - 1 and shortest[depth] == longest[depth]:
            depth += 1
    prefix = paths[0][:depth] if paths else ()
    return [path[depth:] for path in paths], [path[depth:] for path in folders if path[:depth] == prefix]


def _official(paths: list[Parts], notes: list[str]) -> NDArray[np.bool_] | None:
    """True for the images of the held-out side, where the top folders are such sides."""
    tops = {path[0].lower() if len(path) > 1 else "" for path in paths}
    if TRAIN not in tops or len(tops) < 2 or not tops <= {TRAIN, *HELD_OUT}:
        return None
    if len(tops) > 2:
        notes.append(f"{' and '.join(sorted(tops - {TRAIN}))} together are the validation side")
    return np.array([path[0].lower() != TRAIN for path in paths])
