"""The pack: a folder with all images of a set in one uint8 array, ready to be mapped into memory.

    photos.pack/
      images.npy      (N, C, H, W) uint8, straight alpha
      digests.npy     (N, 32) uint8, the SHA-256 of each image
      labels.npy      (N,) int64, where there are classes
      validation.npy  (N,) bool, where the data has an official split
      names.json      one name for each image
      texts.json      one text for each image, "" where it has none; where any has one
      pack.json       written last: version, shape, classes, fingerprint, the size and SHA-256 of the
                      files above, and a line for each file that was converted or refused

Opening checks everything but the pixels, which are checked when they are first read; `verify` checks
all of them and names the damaged images.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, PositiveInt, ValidationError

from triptych import durable
from triptych.core import Shape
from triptych.data.arrays import ArraySource, Labels, digest, fingerprint
from triptych.data.decode import Pixels
from triptych.errors import DataError
from triptych.intake import MOST_LISTS, bytes_of, json_of
from triptych.words import quoted, shown

FORMAT, SEALED = "triptych-pack", 4  # no bit away from the versions before it:
UNSEALED = (1, 2)  # without texts and with them
MANIFEST = "pack.json"
_Three = tuple[PositiveInt, PositiveInt, PositiveInt]
_ARRAYS = {"digests.npy": np.uint8, "labels.npy": np.int64, "validation.npy": np.bool_}


class Contents(NamedTuple):
    """All that a pack says about its images."""

    name: str
    image_shape: Shape
    names: Sequence[str]
    labels: Labels | None = None
    class_names: Sequence[str] = ()
    texts: Sequence[str] = ()  # (): no image has one
    validation: NDArray[np.bool_] | None = None  # None: no official split
    made_from: str = ""  # the key of the files and wishes that it was made from
    fit: str = ""
    converted: Sequence[tuple[str, str]] = ()  # (file, note)
    refused: Sequence[tuple[str, str]] = ()  # (file, reason)
    sizes: Sequence[tuple[str, int]] = ()  # ("480x640", images of that size), the most frequent first
    shapes: Sequence[tuple[Sequence[int], int]] = ()  # (channels, height, width) of files, the same way


class _Said(BaseModel):
    """The form of the manifest, as far as others rely on it."""

    name: str
    count: PositiveInt
    image_shape: _Three
    class_names: tuple[str, ...]
    fingerprint: str
    made_from: str = ""
    fit: str = ""
    converted: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    sizes: tuple[tuple[str, int], ...] = ()
    shapes: tuple[tuple[_Three, int], ...] = ()


class Pack(NamedTuple):
    """An opened pack."""

    source: ArraySource
    contents: Contents
    fingerprint: str


def write(folder: Path, contents: Contents, chunks: Iterable[Pixels]) -> None:
    """Write a pack's files into `folder`, which exists, from chunks (n, C, H, W); all reach the disk."""
    digests = _write_images(folder / "images.npy", (len(contents.names), *contents.image_shape), chunks)
    files: dict[str, dict[str, Any]] = {"images.npy": {"bytes": (folder / "images.npy").stat().st_size}}
    arrays = {"digests.npy": digests, "labels.npy": contents.labels, "validation.npy": contents.validation}
    for name, array in arrays.items():
        if array is not None:
            buffer = io.BytesIO()
            np.save(buffer, array.astype(_ARRAYS[name]), allow_pickle=False)
            files[name] = _write(folder / name, buffer.getvalue())
    files["names.json"] = _write(folder / "names.json", json.dumps(list(contents.names), indent=0).encode())
    if contents.texts:
        files["texts.json"] = _write(folder / "texts.json", json.dumps(list(contents.texts), indent=0).encode())
    labels = None if contents.labels is None else contents.labels.astype(np.int64)
    says = contents._asdict()
    for elsewhere in ("names", "texts", "labels", "validation"):
        del says[elsewhere]
    manifest = {
        "format": FORMAT,
        "version": SEALED,
        "count": len(contents.names),
        **says,
        "fingerprint": fingerprint(
            contents.image_shape, digests, labels, contents.class_names, contents.names, contents.texts
        ),
        "files": files,
    }
    _write(folder / MANIFEST, durable.sealed(manifest).encode())


def open_pack(folder: Path) -> Pack:
    """Open a pack, or raise `DataError` naming the file that is missing or damaged."""
    try:
        return _opened(folder, _manifest(folder))
    except ValidationError as error:
        wrong = shown(", ".join(".".join(map(str, detail["loc"])) for detail in error.errors()))
        _damaged(folder / MANIFEST, f"it is not of the right form: {wrong[:200]}")
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:  # JSON of another form than ours
        _damaged(folder / MANIFEST, f"it is not of the right form: {quoted(error, 200)}")


def _opened(folder: Path, manifest: dict[str, Any]) -> Pack:
    said = _Said.model_validate(manifest)
    shape = (said.count, *said.image_shape)
    for name, facts in manifest["files"].items():
        path = folder / os.path.basename(name)
        present = path.stat().st_size if path.is_file() else 0
        if present != facts["bytes"]:
            _damaged(path, f"{present:,} bytes are there instead of {facts['bytes']:,}")
        if "sha256" in facts and _sha256(path) != facts["sha256"]:
            _damaged(path, "its content has changed")
    images = _load(folder / "images.npy", np.uint8, shape, mapped=True)
    digests = _load(folder / "digests.npy", np.uint8, (shape[0], 32))
    extras = {name: name in manifest["files"] for name in ("labels.npy", "validation.npy")}
    labels = _load(folder / "labels.npy", np.int64, shape[:1]) if extras["labels.npy"] else None
    validation = _load(folder / "validation.npy", np.bool_, shape[:1]) if extras["validation.npy"] else None
    names = _json(folder / "names.json")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        _damaged(folder / "names.json", "it does not hold one name for each image")
    texts = _json(folder / "texts.json") if "texts.json" in manifest["files"] else []
    if not isinstance(texts, list) or len(texts) not in (0, len(images)) or not all(isinstance(t, str) for t in texts):
        _damaged(folder / "texts.json", "it does not hold one text for each image")
    source = ArraySource(images, labels, said.class_names, names, digests, texts=texts, path=folder / "images.npy")
    if labels is not None and len(labels) and not 0 <= labels.min() <= labels.max() < len(source.class_names):
        _damaged(folder / "labels.npy", "a label is of no class")
    if len(names) != len(source) or source.fingerprint != said.fingerprint:
        _damaged(folder / MANIFEST, "it does not belong to the files beside it")
    says = said.model_dump(exclude={"count", "fingerprint"})
    contents = Contents(**says, names=names, texts=texts, labels=labels, validation=validation)
    return Pack(source, contents, said.fingerprint)


def verify(folder: str | Path) -> int:
    """Check every pixel of a pack against its digest; the number of images, or a `DataError`."""
    folder = Path(folder)
    source = open_pack(folder).source
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    differs = (digest(images) != source.digests).any(axis=1).tolist()
    broken = [name for name, bad in zip(source.names, differs, strict=True) if bad]
    if broken:
        first = ", ".join(shown(name) for name in broken[:5])
        _damaged(folder / "images.npy", f"the pixels of {len(broken)} images have changed: {first}")
    return len(source)


def is_pack(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def _write_images(path: Path, shape: tuple[int, ...], chunks: Iterable[Pixels]) -> NDArray[np.uint8]:
    """One .npy file from chunks, written in order, and the digest of each image."""
    digests = []
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(np.ascontiguousarray(chunk).data)
            digests.append(digest(chunk))
        _flush(file)
    found = np.concatenate(digests)
    if len(found) != shape[0]:
        raise DataError(f"{len(found)} images were written into {path} instead of {shape[0]}.")
    return found


def _write(path: Path, data: bytes) -> dict[str, Any]:
    with open(path, "wb") as file:
        file.write(data)
        _flush(file)
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _manifest(folder: Path) -> dict[str, Any]:
    manifest = _json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{shown(str(folder / MANIFEST))} does not describe a pack.")
    if "seal" in manifest and not durable.is_sealed((folder / MANIFEST).read_text(encoding="utf-8")):
        _damaged(folder / MANIFEST, "its content has changed")
    if manifest.get("version") not in (SEALED, *UNSEALED):
        raise DataError(
            f"{shown(str(folder))} is a pack of version {manifest.get('version')!r}, "
            f"and this triptych reads versions {', '.join(map(str, (*UNSEALED, SEALED)))}: pack the images anew."
        )
    if manifest["version"] == SEALED and "seal" not in manifest:
        _damaged(folder / MANIFEST, "its content has changed")
    files = manifest.get("files")
    whole = isinstance(files, dict) and {"images.npy", "digests.npy", "names.json"} <= set(files)
    if not whole or not {"name", "image_shape", "class_names", "count", "fingerprint"} <= set(manifest):
        _damaged(folder / MANIFEST, "parts of it are missing")
    return manifest


def _json(path: Path) -> Any:
    try:
        return json_of(bytes_of(path, MOST_LISTS))
    except (OSError, ValueError) as error:
        _damaged(path, str(error))


def _load(path: Path, dtype: Any, shape: tuple[int, ...], mapped: bool = False) -> Any:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # no more than the file has, whatever its head says
    except Exception as error:  # a head is read as Python's literals, and its damage raises what that does
        _damaged(path, shown(str(error)))
    if array.dtype != dtype or array.shape != tuple(shape):
        _damaged(path, f"{array.dtype} {array.shape} is there instead of {np.dtype(dtype)} {tuple(shape)}")
    if not mapped:
        return np.array(array)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
    with path.open("rb") as file:
        if file.read(len(head.getvalue())) != head.getvalue():
            _damaged(path, "its head has changed")
    return array


def _damaged(path: Path, reason: str) -> NoReturn:
    raise DataError(f"{shown(str(path))} is missing or damaged ({reason}): delete the pack and make it anew.")


def chunked(images: Pixels, most: int = 64 * 2**20) -> Iterator[Pixels]:
    """An array in chunks of at most so many bytes."""
    step = max(1, most // max(1, images[:1].nbytes))
    return (images[start : start + step] for start in range(0, len(images), step))
