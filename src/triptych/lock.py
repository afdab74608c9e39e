"""One process at a time in a folder."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from triptych import durable
from triptych.errors import ResourceError, UsageError

FILE, HOLDER = ".lock", ".holder"  # the lock; and a line that says who has it


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock goes with the process, however it ends."""
    try:
        durable.make_folder(folder)
        lock = FileLock(folder / FILE)
        lock.acquire(timeout=0)
        (folder / HOLDER).write_text(_myself(), encoding="utf-8")
    except Timeout as error:
        raise UsageError(
            f"Another process is training in {folder}{_holder(folder)}; wait for it, or give another --out."
        ) from error
    except OSError as error:
        raise ResourceError(f"{folder} cannot be written to ({error}); give another --out.") from error
    try:
        yield
    finally:
        (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _myself() -> str:
    return f"process {os.getpid()} on {platform.node()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}"


def _holder(folder: Path) -> str:
    """Who says to hold a locked folder, in brackets; nothing where that cannot be read."""
    try:
        return f" ({(folder / HOLDER).read_text(encoding='utf-8')[:200]})"
    except (OSError, UnicodeDecodeError):
        return ""
