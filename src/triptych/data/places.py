"""Where data lives, and how something large comes to stand there whole or not at all."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triptych.errors import ResourceError, TriptychError
from triptych.words import size

VARIABLE = "TRIPTYCH_DATA"


def data_folder() -> Path:
    """The folder of downloads and packs: the variable TRIPTYCH_DATA, else the system's cache."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "triptych"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "triptych"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "triptych"


def make_room(folder: Path, needed: int) -> None:
    """Make `folder`, and see that so many bytes are free in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _unwritable(folder, error) from error
    if free < needed:
        raise ResourceError(f"{folder} has {size(free)} free and needs {size(needed)}: make room there.")


@contextmanager
def claimed(out: Path) -> Iterator[Path]:
    """The folder beside `out` in which `out` is built, held by this process alone.

    Another process that builds the same waits here. What is in it survives an interruption, so
    that the next attempt goes on from there, and is removed after an error.
    """
    part = out.with_name(f".{out.name}.part")
    make_room(out.parent, 0)
    try:
        lock = _lock(part)
    except OSError as error:
        raise _unwritable(out.parent, error) from error
    try:
        yield part
    except TriptychError:
        shutil.rmtree(part, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ResourceError(f"{out} could not be written ({error}): is the disk full?") from error
    finally:
        if part.is_dir() and not any(part.iterdir()):
            part.rmdir()
        os.close(lock)


def publish(part: Path, out: Path) -> None:
    """Give a finished folder its name; its files are on the disk already."""
    os.replace(part, out)
    _sync(out.parent)


def hold(descriptor: int) -> None:
    """Wait until no other process holds this file or folder; let go when it is closed."""
    try:
        import fcntl
    except ImportError:  # Windows, where two processes must not build the same at once
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def _lock(part: Path) -> int:
    while True:
        part.mkdir(exist_ok=True)
        descriptor = os.open(part, os.O_RDONLY)
        hold(descriptor)
        if part.is_dir() and os.path.samestat(os.stat(part), os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)  # while we waited, it was finished and renamed


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(folder: Path, error: OSError) -> ResourceError:
    reason = error.strerror or error
    return ResourceError(f"{folder} cannot be written ({reason}): name another folder, or set {VARIABLE}.")
