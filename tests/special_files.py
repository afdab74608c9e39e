"""What may lie in a folder and is no file: links, a pipe, a socket."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def put_into(folder: Path) -> None:
    """A link back to the folder, one out of it, a pipe and a socket, most of them named as images."""
    (folder / "loop").symlink_to(folder)
    (folder / "out.png").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.png")
    with socket.socket(socket.AF_UNIX) as unix:
        here = os.open(folder, os.O_RDONLY)  # a socket's path must be short, that of a test is not
        unix.bind(f"/proc/self/fd/{here}/s.png" if Path("/proc/self/fd").exists() else str(folder / "s.png"))
        os.close(here)
