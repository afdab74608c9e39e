"""The files of a folder, an archive or a set: listed once, in one order, and read one by one.

Only regular files are read, and nothing outside the root. Links, pipes, sockets and devices are
skipped with a reason; hidden files and the leftovers of file managers are skipped without one.
Names are relative, with "/" between the parts, and sorted by their bytes, so that the order is the
same on every file system. Files that hold captions are listed apart from those that may be images.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple, Protocol

from triptych.data.decode import MOST_BYTES, Refused
from triptych.errors import DataError

METADATA = ("metadata.jsonl", "metadata.csv")
_LEFTOVERS = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_FLAGS = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # not every system has each
    _FLAGS |= getattr(os, _flag, 0)
Skipped = list[tuple[str, str]]  # (name, reason)


class Entry(NamedTuple):
    """A file as it was listed."""

    name: str
    size: int
    stamp: int  # changes when the file does


class Files(Protocol):
    """What can be packed."""

    name: str
    entries: list[Entry]
    captions: list[Entry]
    folders: list[str]
    skipped: Skipped

    def read(self, entry: Entry) -> bytes:
        """All of a file, or `Refused` where it cannot be read or is no longer what was listed."""
        ...


class Folder:
    """The regular files under a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.name = self.root.name
        self.entries: list[Entry] = []
        self.folders: list[str] = []
        self.skipped: Skipped = []
        todo = [""]
        while todo:
            todo += self._list(todo.pop())
        self.entries, self.captions = parted(self.entries)
        self.folders.sort(key=os.fsencode)
        self.skipped.sort(key=lambda line: os.fsencode(line[0]))

    def read(self, entry: Entry) -> bytes:
        if entry.size > MOST_BYTES:
            raise Refused(f"{entry.size:,} bytes, more than the {MOST_BYTES:,} that are read")
        try:
            descriptor = os.open(self.root / entry.name, _FLAGS)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or (status.st_size, status.st_mtime_ns) != entry[1:]:
                    raise Refused("changed since the folder was listed")
                return file.read(entry.size + 1)
        except OSError as error:
            raise Refused(f"cannot be read ({error.strerror or error})") from error

    def _list(self, folder: str) -> list[str]:
        """List one folder; its sub-folders come back."""
        try:
            with os.scandir(self.root / folder) as found:
                return [name for item in found if (name := self._note(folder, item))]
        except OSError as error:
            if not folder:
                raise DataError(f"{self.root} cannot be listed ({error.strerror or error}).") from error
            self.skipped.append((folder, f"a folder that cannot be listed ({error.strerror or error})"))
            return []

    def _note(self, folder: str, item: os.DirEntry[str]) -> str | None:
        if is_hidden(item.name):
            return None
        name = f"{folder}/{item.name}" if folder else item.name
        try:
            status = item.stat(follow_symlinks=False)
        except OSError as error:
            self.skipped.append((name, f"cannot be read ({error.strerror or error})"))
            return None
        if stat.S_ISDIR(status.st_mode):
            self.folders.append(name)
            return name
        if stat.S_ISREG(status.st_mode):
            self.entries.append(Entry(name, status.st_size, status.st_mtime_ns))
        else:
            link = stat.S_ISLNK(status.st_mode)
            self.skipped.append((name, "a symbolic link" if link else "a pipe, socket or device"))
        return None


def parted(entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Files that may be images, and those that say what images show; each in the order of their bytes.

    These are metadata.jsonl, metadata.csv, and NAME.txt where another file is NAME with another ending.
    """
    stems = {os.path.splitext(entry.name)[0] for entry in entries if not entry.name.endswith(".txt")}

    def says(entry: Entry) -> bool:
        stem, ending = os.path.splitext(entry.name)
        return (ending == ".txt" and stem in stems) or os.path.basename(entry.name) in METADATA

    entries = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    return [entry for entry in entries if not says(entry)], [entry for entry in entries if says(entry)]


def is_hidden(part: str) -> bool:
    """Whether a file or folder of this name is passed over without a word."""
    return part.startswith(".") or part.lower() in _LEFTOVERS
