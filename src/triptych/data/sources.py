"""Which container of images is meant: a folder, a zip, tar archives, or a set of Hugging Face."""

from __future__ import annotations

import glob
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from triptych.data import hub, packed
from triptych.data.folder import Files, Folder
from triptych.data.tars import Tars
from triptych.data.zipped import Zip
from triptych.errors import DataError
from triptych.words import shown

Where = str | Path | Sequence[str | Path]
_IMAGE = re.compile(r"\.(png|jpe?g|webp|bmp|tiff?|gif)$", re.IGNORECASE)


def files_of(where: Where) -> Files | None:
    """The files to pack, if it is a container of images: some tars by name, or by a pattern with stars, are one too."""
    if not isinstance(where, (str, Path)):
        paths = [Path(one) for one in where]
        return _tars(paths, paths[0].absolute().parent.name)
    path = Path(where)
    if str(where).startswith(hub.PREFIX):
        return hub.rows_of(where)
    if path.suffix == ".tar" and "*" in str(where) and (found := glob.glob(str(where), recursive=True)):
        return files_of(alone(found))
    if not exists(where):
        return None
    if hub.is_saved(path):
        return hub.rows_of(where)
    if path.is_dir() and not packed.is_pack(path):
        folder = Folder(path)
        shards = [path / entry.name for entry in folder.entries if entry.name.endswith(".tar")]
        return (
            folder
            if not shards or any(_IMAGE.search(entry.name) for entry in folder.entries)
            else _tars(shards, folder.name)
        )
    if path.is_file() and path.suffix.lower() == ".tar":
        return _tars([path], path.stem)
    if path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)):
        return Zip(path)
    return None


def alone(where: Where) -> Where:
    """A list of one as the one."""
    return where if isinstance(where, (str, Path)) or len(where) != 1 else where[0]


def exists(where: Where) -> bool:
    """Whether it is the name of a file or folder that is there."""
    try:
        return bool(str(where)) and isinstance(where, (str, Path)) and Path(where).exists()
    except OSError:  # such as a name that is too long
        return False


def _tars(paths: list[Path], name: str) -> Tars:
    """Several archives as one set of this name."""
    for path in paths:
        if path.suffix.lower() != ".tar" or not path.is_file():
            raise DataError(f"{shown(str(path))} is no tar archive: give one set, or the tars of one set alone.")
    return Tars(paths, name)
