"""What images show in words: captions as Hugging Face's imagefolder has them, or NAME.txt beside NAME.png.

1. metadata.jsonl holds an object a line, with "file_name", from the folder of the metadata on, and "text".
2. metadata.csv has columns of these names.
3. NAME.txt is all about NAME.png, or whatever its ending.

The first that an image has is its text, in this order. File names are looked up among the images of the set, so
that nothing else is ever opened. What cannot be used has its reason, as files that are no images do.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from triptych.core import LONGEST
from triptych.data.decode import Refused
from triptych.data.folder import METADATA, Entry, Files, Skipped
from triptych.intake import json_of
from triptych.labels import cut, plain

Line = tuple[int, Any, Any]  # its number, file_name and text, or whatever else stands there


class Captions(NamedTuple):
    """What was found."""

    texts: Sequence[str]  # one for each image, "" where it has none; () where no image has one
    notes: tuple[str, ...]
    refused: Skipped


def captions(files: Files, names: Sequence[str]) -> Captions:
    """The texts of the images with these names; longer ones than `LONGEST` bytes are cut, which is noted."""
    if not files.captions:
        return Captions((), (), Skipped())
    found, refused = dict[str, str](dict.fromkeys(names, "")), Skipped()
    beside: dict[str, list[str]] = {}
    for name in names:
        beside.setdefault(os.path.splitext(name)[0], []).append(name)
    for entry in sorted(files.captions, key=_rank):
        try:
            data = files.read(entry).decode("utf-8-sig")
        except (Refused, UnicodeDecodeError) as error:
            refused.append((entry.name, str(error) if isinstance(error, Refused) else "not UTF-8"))
            continue
        lines = _lines(entry.name, data, beside)
        refused += [(entry.name, reason) for reason in _taken(lines, posixpath.dirname(entry.name), found)]
    if not any(found.values()):
        return Captions((), (), refused)
    long, silent = sum(len(text.encode()) > LONGEST for text in found.values()), list(found.values()).count("")
    notes = [f"{long:,} texts are longer than {LONGEST} bytes and are cut"] if long else []
    notes += [f"{silent:,} of {len(names):,} images have no text"] if silent else []
    return Captions([cut(found[name]) for name in names], tuple(notes), refused)


def _rank(entry: Entry) -> int:
    base = posixpath.basename(entry.name)
    return METADATA.index(base) if base in METADATA else len(METADATA)


def _lines(name: str, data: str, beside: dict[str, list[str]]) -> Iterator[Line]:
    """What a file says, line by line; `beside` are the images of each name without its ending."""
    if name.endswith(".jsonl"):
        rows = ((number, _object(line)) for number, line in enumerate(data.split("\n"), 1) if line.strip())
        yield from ((number, row.get("file_name"), row.get("text")) for number, row in rows)
    elif name.endswith(".csv"):
        table = csv.DictReader(io.StringIO(data, newline=""))
        try:
            yield from ((table.line_num, row.get("file_name"), row.get("text")) for row in table)
        except csv.Error:  # such as a field without an end
            yield table.line_num + 1, None, None
    else:
        images = beside.get(os.path.splitext(name)[0], [name])  # without an image, it is of its own name, which is none
        yield from ((1, posixpath.basename(image), data) for image in images)


def _object(line: str) -> dict[str, Any]:
    try:
        found = json_of(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _taken(lines: Iterator[Line], folder: str, found: dict[str, str]) -> list[str]:
    """Put the texts of a file where they belong; a reason for each kind of line that is of no use."""
    faults: dict[str, list[int]] = {}
    for number, name, text in lines:
        path = posixpath.normpath(posixpath.join(folder, name)) if isinstance(name, str) else ""
        if fault := _fault(path, text, found):
            faults.setdefault(fault, []).append(number)
        else:
            found[path] = plain(text)
    return [
        f"line {at[0]:,}{f' and {len(at) - 1:,} more' if len(at) > 1 else ''}: {fault}" for fault, at in faults.items()
    ]


def _fault(path: str, text: Any, found: dict[str, str]) -> str:
    """Why a line is of no use, or ""."""
    if not path or not isinstance(text, str):
        return 'no "file_name" and "text"'
    if path not in found:
        return "no image of this name is used"
    if found[path]:
        return "the image has a text already"
    return "half a character" if any("\ud800" <= letter <= "\udfff" for letter in text) else ""
