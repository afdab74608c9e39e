"""Where made images go: one grid as PNG, one PNG for each image in a folder, or one array."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.core import Batch
from triptych.errors import ResourceError, UsageError
from triptych.labels import read
from triptych.pixels import grid, write_png
from triptych.words import join, shown

MOST_IN_GRID = 10_000


class Sink(Protocol):
    """Takes batches of uint8 images; the last word is `close`."""

    def add(self, batch: Batch) -> None: ...

    def close(self) -> None: ...


def sink(path: Path, images: int, first_seed: int) -> Sink:
    """The sink that the ending of `path` asks for; raises before any work where it would not do.

    `x.png`: a grid. `x.npz`: uint8 (N, H, W, C) under "images", and "labels" and "text" where there are any.
    Otherwise a folder, which may be new, empty, or hold images of an earlier call.
    """
    ending = path.suffix.lower()
    if path.is_dir() or not ending:
        return Folder(path, first_seed)
    if ending == ".png" and images > MOST_IN_GRID:
        raise UsageError(f"-o {path}: a grid holds at most {MOST_IN_GRID} images; give a folder or an .npz.")
    if ending not in (".png", ".npz"):
        raise UsageError(f"-o {path}: give a name that ends in .png (a grid) or .npz (an array), or a folder's name.")
    return (Grid if ending == ".png" else Array)(path)


def picture(out: str) -> Path:
    """The path of one picture; raises a `UsageError` where its name does not end in .png."""
    if Path(out).suffix.lower() != ".png":
        raise UsageError(f"-o {out}: it is a picture; give a name that ends in .png.")
    return Path(out)


class Folder:
    """One PNG for each image, named by its seed, written as they come."""

    def __init__(self, path: Path, first_seed: int) -> None:
        strangers = sorted(e.name for e in path.iterdir() if not e.name.startswith("seed-")) if path.is_dir() else []
        if strangers:
            raise UsageError(f"{path} holds other files, such as {strangers[0]!r}; give an empty folder to -o.")
        self.path, self._next = path, first_seed
        _folder(path)

    def add(self, batch: Batch) -> None:
        for image in batch.images:
            write_png(image, self.path / f"seed-{self._next:08d}.png")
            self._next += 1

    def close(self) -> None:
        """Nothing is left to write."""


class Held:
    """What was made so far, in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._batches: list[Batch] = []
        _folder(path.parent)

    def add(self, batch: Batch) -> None:
        self._batches.append(batch)

    def images(self) -> torch.Tensor:
        return torch.cat([batch.images for batch in self._batches])


class Grid(Held):
    """All images in one picture."""

    def close(self) -> None:
        write_png(grid(self.images()), self.path)


class Array(Held):
    """All images in one .npz file."""

    def close(self) -> None:
        arrays = {"images": self.images().permute(0, 2, 3, 1).numpy()}
        for name in self._batches[0].given:
            values = torch.cat([batch.given[name] for batch in self._batches])
            arrays[name] = np.array(read(values), np.str_) if name == "text" else values.numpy()
        write_npz(self.path, arrays)


def write_npz(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Arrays to an .npz file; written aside, then renamed."""
    aside = path.with_name(f".{path.stem}.{os.getpid()}.part.npz")
    with aside.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    os.replace(aside, path)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under their columns to a CSV file in UTF-8; written aside, then renamed.

    A text that a spreadsheet would take for a formula has an apostrophe before it.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)
    os.replace(aside, path)


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    return ("'" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else "") + shown(value)


def place_for(out: str, *endings: str) -> Path:
    """The file that -o names, after its ending was found right and its folder made; raises before any work else."""
    path = Path(out)
    if path.suffix.lower() not in endings:
        raise UsageError(f"-o {out}: give a name that ends in {join(endings, 'or')}.")
    if path.is_dir():
        raise UsageError(f"-o {out} is a folder; give a file's name.")
    _folder(path.parent)
    return path


def folder_for(out: str) -> Path:
    """The folder that -o names, made where it was not there; raises where it cannot be."""
    _folder(Path(out))
    return Path(out)


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise ResourceError(f"{path} cannot be made ({error}); give another -o.") from error
