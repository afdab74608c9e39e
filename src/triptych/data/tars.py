"""The files of tar archives, as WebDataset has them in shards: read in memory, one by one; nothing is ever extracted.

Files that differ in their ending alone are one sample: 0001.jpg is an image, 0001.cls its class (a whole number or a
name) and 0001.txt its text. Of a set without .cls, folders mean what they mean in a zip. Shards whose names hold the
word train, and others with test, val, valid or validation, are the sides of the official split.

The headers are read by `tarfile`. The package webdataset reads the same files, but each of them whole, however large
it says that it is, and its decoders unpickle; here a member is only read when it is needed, and of the size it has.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from triptych.data.decode import MOST_BYTES, Refused
from triptych.data.folder import Entry, Skipped, is_hidden, parted
from triptych.data.layout import HELD_OUT, TRAIN
from triptych.data.zipped import ELSEWHERE, LONGEST_NAME, MOST_MEMBERS
from triptych.errors import DataError
from triptych.intake import MOST_TEXT, regular
from triptych.words import shown

_LONGEST_CLASS = 256  # bytes of a .cls


class _Place(NamedTuple):
    """Where the bytes of a file are."""

    shard: int
    start: int


class _Headers(io.BufferedReader):
    """A tar of which nothing large is read at once: the long names and extended headers that attack are."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(regular(path)))

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MOST_TEXT:
            raise ValueError(f"a header of {size:,} bytes")
        return super().read(size)


class Tars:
    """The regular files of tar archives, as `triptych.data.folder.Files`."""

    def __init__(self, shards: Sequence[Path], name: str) -> None:
        self.name = name
        self.entries: list[Entry] = []
        self.folders: list[str] = []
        self.skipped: Skipped = []
        self._shards = sorted(shards, key=os.fsencode)
        self._stats = [os.stat(shard) for shard in self._shards]
        self._places: dict[str, _Place] = {}
        self._listed = 0
        for number in range(len(self._shards)):
            self._list(number)
        self.entries, self.captions = parted(self.entries)

    def read(self, entry: Entry) -> bytes:
        place = self._places[entry.name]
        try:
            with open(regular(self._shards[place.shard]), "rb") as file:
                if _stamp(os.fstat(file.fileno())) != _stamp(self._stats[place.shard]):
                    raise Refused("changed since the archive was listed")
                file.seek(place.start)
                return file.read(entry.size)
        except OSError as error:
            raise Refused(f"cannot be read ({error.strerror or error})") from error

    def _list(self, number: int) -> None:
        """Note every file of one shard; classes may stand before or behind the images that they are of."""
        found: list[tuple[str, int, int]] = []  # name, start, bytes
        classes: dict[str, str] = {}
        with _Headers(self._shards[number]) as file:
            for member in _members(file, self._shards[number]):
                self._listed += 1
                if self._listed > MOST_MEMBERS:
                    raise DataError(f"{shown(self.name)} lists more than {MOST_MEMBERS:,} files: pack it in parts.")
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                name = "/".join(parts)
                if reason := _unusable(member):
                    self.skipped.append((name[:LONGEST_NAME], reason))
                elif member.isreg() and name.endswith(".cls"):
                    classes[_stem(name)] = _class(file, member)
                elif member.isreg() and not any(map(is_hidden, parts)):
                    found.append((name, member.offset_data, member.size))
        for name, start, size in found:
            self._note(self._named(number, name, classes.get(_stem(name), "")), _Place(number, start), size)

    def _note(self, name: str, place: _Place, size: int) -> None:
        if name in self._places:
            self.skipped.append((name, "a second file of this name"))
            return
        self._places[name] = place
        self.entries.append(Entry(name, size, self._stats[place.shard].st_mtime_ns))

    def _named(self, number: int, name: str, label: str) -> str:
        """The name of a file in the set: its side and its class are folders, and each shard has names of its own."""
        folder, _, base = name.rpartition("/")
        shard = f"{self._shards[number].stem}-" if len(self._shards) > 1 else ""
        if label:
            folder, base = label, name.replace("/", "_")
        words = re.split("[^a-z]+", f"{self._shards[number].parent.name}/{self._shards[number].stem}".lower())
        side = next((word for word in reversed(words) if word in (TRAIN, *HELD_OUT)), "")
        return "/".join(filter(None, [side if len(self._shards) > 1 else "", folder, shard + base]))


def _members(file: _Headers, shard: Path) -> Iterator[tarfile.TarInfo]:
    """The headers of a tar, one at a time: `tarfile` itself would keep them all."""
    last = -1
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while member := tar.next():
                tar.members.clear()  # type: ignore[attr-defined]
                if member.offset_data <= last or member.size < 0:
                    raise ValueError("its headers lead back")
                last = member.offset_data
                yield member
    except DataError:
        raise
    except Exception as error:  # a header that lies makes the reader raise anything
        why = " ".join(str(error).split())[:200]
        raise DataError(
            f"{shown(str(shard))} is not a tar archive that can be read ({shown(why)}): write it anew, uncompressed."
        ) from error


def _unusable(member: tarfile.TarInfo) -> str:
    """Why a member is not read, or ""."""
    if len(member.name) > LONGEST_NAME:
        return f"a name of {len(member.name):,} characters"
    if ".." in member.name.split("/") or member.name.startswith("/") or ELSEWHERE.search(member.name):
        return "a name that leads out of the archive"
    if member.issym() or member.islnk():
        return "a link"
    if member.issparse() or not (member.isreg() or member.isdir()):
        return "a sparse file" if member.issparse() else "a pipe, socket or device"
    return f"{member.size:,} bytes, more than the {MOST_BYTES:,} that are read" if member.size > MOST_BYTES else ""


def _class(file: _Headers, member: tarfile.TarInfo) -> str:
    """What a .cls says, as the name of a folder."""
    file.seek(member.offset_data)
    text = file.read(min(member.size, _LONGEST_CLASS)).decode("utf-8", "replace")
    return " ".join(text.split()).replace("/", "_").strip(".")


def _stem(name: str) -> str:
    """A name without its last ending, which is what the files of a sample share."""
    return os.path.splitext(name)[0]


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
