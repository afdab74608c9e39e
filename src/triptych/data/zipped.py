"""The files of a zip archive: read in memory, one by one; nothing is ever extracted."""

from __future__ import annotations

import io
import re
import stat
import weakref
import zipfile
import zlib
from pathlib import Path

from triptych.data.decode import MOST_BYTES, Refused
from triptych.data.folder import Entry, Skipped, is_hidden, parted
from triptych.errors import DataError
from triptych.intake import regular
from triptych.words import shown

MOST_MEMBERS = 2_000_000
MOST_RATIO = 100  # of a file's size to its size in the archive
LONGEST_NAME = 1024
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)
_SMALL = 2**20  # below this many bytes no ratio is suspicious
ELSEWHERE = re.compile(r"\\|\0|^[A-Za-z]:")  # backslashes, drives, and names that end early
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive(io.BufferedReader):
    """A zip file whose list of members, which is read in one piece, is weighed before it is made into objects."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(regular(path)))

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_BYTES + 1:
            raise ValueError(f"it asks for {size:,} bytes at once")
        data = super().read(size)
        if len(data) > _SMALL and data.count(zipfile.stringCentralDir) > MOST_MEMBERS:  # type: ignore[attr-defined]
            raise ValueError(f"it lists more than {MOST_MEMBERS:,} files: unpack it yourself")
        return data


class Zip:
    """The regular files of a zip archive, as `triptych.data.folder.Files`."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.entries: list[Entry] = []
        self.folders: list[str] = []
        self.skipped: Skipped = []
        try:
            file = Archive(path)
            weakref.finalize(self, file.close)
            self._zip = zipfile.ZipFile(file)
        except Exception as error:  # a list that lies makes the reader raise anything
            raise DataError(f"{shown(str(path))} is not a zip archive that can be read ({error}).") from error
        members = self._zip.infolist()
        if len(members) > MOST_MEMBERS:
            raise DataError(f"{shown(str(path))} lists {len(members):,} files, over {MOST_MEMBERS:,}: unpack it.")
        self._sound(path, members)
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            self._note(member)
        self.entries, self.captions = parted(self.entries)

    def read(self, entry: Entry) -> bytes:
        try:
            with self._zip.open(self._members[entry.name]) as file:
                return file.read(entry.size + 1)
        except _DAMAGE as error:
            raise Refused(f"damaged in the archive ({error})") from error

    def _sound(self, path: Path, members: list[zipfile.ZipInfo]) -> None:
        """No file may be in the archive twice over, as in bombs whose members overlap."""
        packed, length = sum(member.compress_size for member in members), path.stat().st_size
        unpacked = sum(member.file_size for member in members)
        if packed > length or unpacked > MOST_RATIO * max(length, _SMALL):
            claim = f"claims to hold {unpacked:,} bytes in {length:,}, as a zip bomb does"
            raise DataError(f"{shown(str(path))} {claim}: unpack it yourself if you trust it.")

    def _note(self, member: zipfile.ZipInfo) -> None:
        parts = [part for part in member.filename.rstrip("/").split("/") if part != "."]
        name = "/".join(parts)
        if any(is_hidden(part) for part in parts if part != ".."):
            return
        if reason := _unusable(member, parts):
            self.skipped.append((name[:LONGEST_NAME], reason))
        elif name in self._members:
            self.skipped.append((name, "a second file of this name"))
        elif member.is_dir():
            self.folders.append(name)
        else:
            self._members[name] = member
            self.entries.append(Entry(name, member.file_size, member.CRC))


def _unusable(member: zipfile.ZipInfo, parts: list[str]) -> str:
    """Why a member is not read, or ""."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    if len(member.filename) > LONGEST_NAME:
        return f"a name of {len(member.filename):,} characters"
    if ".." in parts or "" in parts or ELSEWHERE.search(member.orig_filename):
        return "a name that leads out of the archive"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a symbolic link" if kind == stat.S_IFLNK else "a pipe, socket or device"
    if member.flag_bits & 1:
        return "encrypted"
    if member.compress_type not in _METHODS:
        return f"compressed by method {member.compress_type}, which is not read"
    if member.file_size > MOST_BYTES:
        return f"{member.file_size:,} bytes, more than the {MOST_BYTES:,} that are read"
    if member.file_size > max(_SMALL, MOST_RATIO * member.compress_size):
        return f"{member.file_size:,} bytes packed into {member.compress_size:,}, as a zip bomb does"
    return ""
