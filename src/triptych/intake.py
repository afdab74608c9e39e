"""What comes in from outside: regular files up to a size, as bytes, as text or as JSON.

Nothing here waits for a pipe, reads a device or holds more than it was told to. Failures are an `OSError`
(not there, not a file) or a `ValueError` (too large, not UTF-8, not JSON); the caller says what was wanted.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

MOST_TEXT = 2**20  # bytes of a file that somebody writes by hand
MOST_LISTS = 2**28  # bytes of a file that lists every image of a set, or every line of a log
_FLAGS = os.O_RDONLY
for _flag in ("O_NONBLOCK", "O_BINARY"):  # not every system has each
    _FLAGS |= getattr(os, _flag, 0)


def regular(path: Path) -> int:
    """A regular file, opened for reading: its descriptor."""
    descriptor = os.open(path, _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is no regular file")
    return descriptor


def bytes_of(path: Path, most: int) -> bytes:
    """All of a regular file of at most so many bytes."""
    with open(regular(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than the {most:,} bytes that are read")
    return data


def text_of(path: Path, most: int = MOST_TEXT) -> str:
    """A file as text in UTF-8, with or without a byte order mark."""
    return bytes_of(path, most).decode("utf-8-sig")


def json_of(text: str | bytes) -> Any:
    """What a JSON text says; one that is nested too deeply is a `ValueError` as well."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
