"""Decoded images on their way into a pack: pixels in one file, a line for each file in another.

The lines are a journal. An interrupted run leaves both in the folder aside, and the next run with
the same files and wishes goes on behind the last whole line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from triptych.data.decode import Pixels
from triptych.data.fit import Size, to_channels
from triptych.data.worker import Reply

_CHUNK = 16 * 2**20


class Line(NamedTuple):
    """What became of one file."""

    name: str
    refused: str
    size: Size  # of the file, upright
    channels: int  # of its pixels in the spool
    notes: tuple[str, ...]


class Spool:
    """Images of one size, each with its own number of channels; a context."""

    def __init__(self, folder: Path, key: str, size: Size) -> None:
        self._paths = folder / "spool.bin", folder / "spool.jsonl"
        self._size = size
        self.lines: list[Line] = []
        self._filled = 0  # bytes of pixels that the lines count
        head = json.dumps({"key": key, "size": size})
        end = self._recover(head)
        for path in self._paths:
            path.touch()
        self._pixels, self._journal = (path.open("r+b") for path in self._paths)
        self._pixels.truncate(self._filled)
        self._journal.truncate(end)
        self._pixels.seek(0, os.SEEK_END)
        self._journal.seek(0, os.SEEK_END)
        if not end:
            self._journal.write(head.encode() + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._pixels.close()
        self._journal.close()

    def add(self, names: Sequence[str], replies: Sequence[Reply]) -> None:
        """Append what became of some files; pixels reach the disk before the lines that count them."""
        pairs = zip(names, replies, strict=True)
        lines = [Line(name, reply.refused, reply.size, reply.channels, reply.notes) for name, reply in pairs]
        self._pixels.write(b"".join(reply.pixels for reply in replies))
        self._pixels.flush()
        os.fsync(self._pixels.fileno())
        self._journal.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        self._journal.flush()
        self.lines += lines

    @property
    def kept(self) -> list[Line]:
        """The files that became images."""
        return [line for line in self.lines if not line.refused]

    def chunks(self, channels: int) -> Iterator[Pixels]:
        """All images as arrays (n, channels, H, W)."""
        self._pixels.seek(0)
        step = max(1, _CHUNK // (self._size[0] * self._size[1] * channels))
        kept = self.kept
        for start in range(0, len(kept), step):
            yield np.stack([self._next(line, channels) for line in kept[start : start + step]])

    def remove(self) -> None:
        for path in self._paths:
            path.unlink()

    def _next(self, line: Line, channels: int) -> Pixels:
        shape = (*self._size, line.channels)
        pixels = np.frombuffer(self._pixels.read(int(np.prod(shape))), np.uint8).reshape(shape)
        return to_channels(pixels, channels).transpose(2, 0, 1)

    def _recover(self, head: str) -> int:
        """Read the lines of an interrupted run of the same head; the length of the good journal."""
        pixels, journal = self._paths
        if not (pixels.is_file() and journal.is_file()):
            return 0
        end, present = 0, pixels.stat().st_size
        for raw in journal.read_bytes().splitlines(keepends=True):
            try:
                found = json.loads(raw) if raw.endswith(b"\n") else None
            except ValueError:
                found = None
            if not found:  # torn by the interruption
                break
            if not end:
                if found != json.loads(head):
                    return 0
            else:
                line = Line(found[0], found[1], (found[2][0], found[2][1]), found[3], tuple(found[4]))
                filled = self._filled + self._size[0] * self._size[1] * line.channels
                if filled > present:
                    break
                self.lines.append(line)
                self._filled = filled
            end += len(raw)
        return end
