"""The library between a process and libc: built, preloaded, and told what to do."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
MARK = "TRIPTYCH_FAULTS_SHIM"


class When(IntEnum):
    """When at a call the fault comes."""

    BEFORE = 0
    HALF = 1  # of the bytes of a write
    AFTER = 2
    FAIL = 3  # the call returns an error; of a write, half of the bytes arrive
    COUNT = 4  # nothing comes: calls are counted


def compiler() -> str | None:
    """The C compiler of this machine; None where there is none, and on other systems than Linux."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None) if sys.platform == "linux" else None


def preloaded() -> bool:
    return MARK in os.environ


def again_with_shim() -> None:
    """Replace this process by itself under the library, on one thread; returns at once where that is done."""
    if preloaded():
        return
    found = compiler()
    if found is None:
        raise SystemExit("error: the faults need Linux and a C compiler.")
    library = Path(tempfile.mkdtemp(prefix="faults-shim-")) / "shim.so"
    subprocess.run([found, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), MARK: str(library), "OMP_NUM_THREADS": "1"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def remove() -> None:
    """Delete the built library."""
    shutil.rmtree(Path(os.environ[MARK]).parent, ignore_errors=True)


def arm(call: str, path: str, nth: int, when: When, code: int = 0) -> None:
    """The nth `call` on a file whose path matches the glob `path` is where it happens; `code` is an errno."""
    ctypes.CDLL(None).faults_arm(call.encode(), path.encode(), nth, int(when), code)


def record(descriptor: int, folder: Path) -> None:
    """Write every call that changes something under `folder`, with its bytes, to a descriptor."""
    ctypes.CDLL(None).faults_record(descriptor, str(folder).encode())


def move_clock(seconds: int) -> None:
    """Let the wall clock of this process be so far ahead."""
    ctypes.CDLL(None).faults_clock(ctypes.c_long(seconds))
