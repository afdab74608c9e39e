"""Files that are whole after a crash or a power cut: written aside, pushed to the disk, then renamed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PARTS = ".*.part"  # the names of what is not finished


def aside(path: Path) -> Path:
    """Where `path` is made before it has its name."""
    return path.with_name(f".{path.name}.part")


def write(path: Path, text: str) -> None:
    """Let `path` hold this text: after a crash at any moment it holds all of it, or what it held before."""
    part = aside(path)
    try:
        part.write_text(text, encoding="utf-8")
        flush(part)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    flush(path.parent)


def sealed(values: Mapping[str, Any]) -> str:
    """JSON text that ends with its own SHA-256, so that one changed bit anywhere in it is noticed."""
    text = json.dumps({**values, "seal": ""}, indent=1)
    return text.replace('"seal": ""', f'"seal": "{_seal(text)}"')


def is_sealed(text: str) -> bool:
    """Whether it is what `sealed` made; any JSON object may be asked about."""
    seal = json.loads(text).get("seal")
    return isinstance(seal, str) and seal == _seal(text.replace(f'"seal": "{seal}"', '"seal": ""'))


def _seal(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_folder(path: Path) -> None:
    """Make a folder and those above it, with their names on the disk."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        flush(folder.parent)


def flush(path: Path) -> None:
    """fsync a file or, where the system allows it, a folder, which holds the names in it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
