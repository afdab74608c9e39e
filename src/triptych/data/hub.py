"""Sets of Hugging Face through their library `datasets`: its rows as files of a folder, which are then packed.

The image of a row is the file 000012 in the folder of its class, in the folder of its side, and 000012.txt beside it
its text, so that folders and captions mean what they mean everywhere (`layout`, `captions`). The column of images is
the first of the type Image, classes are the first ClassLabel or the column "label", texts "text" or "caption".

Images are taken as the bytes in the set and decoded by our own decoders. A row that names a file instead is refused:
what a set says is no reason to open a file.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from triptych.data.decode import MOST_BYTES, Refused
from triptych.data.folder import Entry, Skipped
from triptych.data.layout import HELD_OUT, TRAIN
from triptych.errors import DataError, ResourceError, UsageError
from triptych.words import join, quoted, shown

PREFIX = "hf:"
_MARKS = ("state.json", "dataset_dict.json")  # of a folder written by save_to_disk
_LABELS, _TEXTS = ("label", "labels", "class"), ("text", "caption")
_PORTION = 1000  # rows that are listed together


class Rows:
    """The rows of some sides of a set, as `triptych.data.folder.Files`."""

    def __init__(self, sides: Mapping[str, Any], name: str) -> None:
        self.name = name
        self.entries: list[Entry] = []
        self.captions: list[Entry] = []
        self.folders: list[str] = []
        self.skipped: Skipped = []
        self._sides = {side: rows.with_format("arrow") for side, rows in sides.items()}
        self._columns = {side: _Columns(rows.features, name) for side, rows in sides.items()}
        for side, rows in self._sides.items():
            self._list(side, rows, self._columns[side])
        for listed in (self.entries, self.captions):
            listed.sort(key=lambda entry: os.fsencode(entry.name))

    def read(self, entry: Entry) -> bytes:
        """The bytes of an image or, beside it, of a text."""
        side = entry.name.split("/")[0] if len(self._sides) > 1 else next(iter(self._sides))
        stem, ending = os.path.splitext(os.path.basename(entry.name))
        columns, row = self._columns[side], self._sides[side][int(stem) : int(stem) + 1]
        if ending == ".txt":
            return str(row.column(columns.text)[0].as_py()).encode("utf-8", "replace")
        found = row.column(columns.image)[0].as_py() or {}
        if found.get("bytes") is None:
            raise Refused("a row that holds no image, but at most the name of a file: write the set by save_to_disk")
        return bytes(found["bytes"])

    def _list(self, side: str, rows: Any, columns: _Columns) -> None:
        """A file for each image, and one for each text."""
        stamp = max((os.stat(file["filename"]).st_mtime_ns for file in rows.cache_files), default=0)
        above, width = [side] if len(self._sides) > 1 else [], len(str(len(rows)))
        for number, (size, label, text) in enumerate(_facts(rows, columns)):
            stem = "/".join([*above, *([label] if label else []), f"{number:0{width}d}"])
            if size > MOST_BYTES:
                self.skipped.append((stem, f"{size:,} bytes, more than the {MOST_BYTES:,} that are read"))
                continue
            self.entries.append(Entry(stem, size, stamp))
            if text:
                self.captions.append(Entry(f"{stem}.txt", len(text), stamp))


class _Columns:
    """What stands in which column of a set."""

    def __init__(self, features: Mapping[str, Any], name: str) -> None:
        kinds = {column: type(feature).__name__ for column, feature in features.items()}
        images = [column for column, kind in kinds.items() if kind == "Image"]
        if not images:
            raise DataError(f"{shown(name)} has no column of images: it holds {shown(join(list(features)))[:200]}.")
        classes = [column for column, kind in kinds.items() if kind == "ClassLabel"]
        self.image = images[0]
        self.label = next((column for column in (*classes, *_LABELS) if column in features), "")
        self.text = next((column for column in _TEXTS if kinds.get(column) == "Value"), "")
        self.names = tuple(features[self.label].names or ()) if classes else ()


def _facts(rows: Any, columns: _Columns) -> Iterator[tuple[int, str, str]]:
    """Of each row the bytes of its image, the folder of its class and its text."""
    import pyarrow.compute as arrow

    for portion in rows.iter(_PORTION):
        images = portion.column(columns.image).combine_chunks()
        sizes = arrow.binary_length(arrow.struct_field(images, "bytes")).to_pylist()
        labels = portion.column(columns.label).to_pylist() if columns.label else []
        texts = portion.column(columns.text).to_pylist() if columns.text else []
        for size, label, text in itertools.zip_longest(sizes, labels, texts):
            yield size or 0, _folder(label, columns.names), text or ""


def _folder(label: Any, names: tuple[str, ...]) -> str:
    """The folder of a class, "" for none."""
    if label is None or (names and not 0 <= label < len(names)):  # -1 is how a set says that it is not told
        return ""
    return " ".join(str(names[label] if names else label).split()).replace("/", "_").strip(".")[:256]


def is_saved(where: str | Path) -> bool:
    """Whether a folder was written by save_to_disk."""
    return any((Path(where) / mark).is_file() for mark in _MARKS)


def rows_of(where: str | Path) -> Rows:
    """The set of a folder that save_to_disk wrote, or of "hf:NAME[:SPLIT]", where NAME may be such a folder.

    Raises a `ResourceError` without the package or the network, a `DataError` where there is no such set or no column
    of images, and a `UsageError` where only some of its splits can be meant.
    """
    name, _, side = str(where).removeprefix(PREFIX).partition(":")
    local = is_saved(name)
    try:
        import datasets
    except ImportError as error:
        raise ResourceError("Sets of Hugging Face need the package datasets: pip install 'triptych[data]'.") from error
    try:
        offline = datasets.DownloadConfig(local_files_only=bool(os.environ.get("TRIPTYCH_OFFLINE")))
        found = datasets.load_from_disk(name) if local else datasets.load_dataset(name, download_config=offline)
    except Exception as error:  # the library raises anything, and a set may be anything
        raise DataError(f"{shown(name)} is no set of Hugging Face that can be read ({quoted(error, 200)}).") from error
    return Rows(_sides(found, side, name), Path(name).name)


def _sides(found: Any, side: str, name: str) -> dict[str, Any]:
    """The splits that are meant: the one that is named, or all that together are an official split."""
    splits = dict(found) if isinstance(found, dict) else {side or TRAIN: found}
    if (side and side not in splits) or (not side and len(splits) > 1 and not set(splits) <= {TRAIN, *HELD_OUT}):
        which = join([shown(split) for split in splits], "or")
        raise UsageError(f"Which part of {shown(name)} is meant: give {PREFIX}{shown(name)}:SPLIT, with {which}.")
    return {side: splits[side]} if side else splits
