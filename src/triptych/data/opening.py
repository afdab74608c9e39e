"""The two doors of the data layer: `open_data` for training and encoding, `pack` for later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from triptych.core import Shape
from triptych.data import packed
from triptych.data.arrays import ArraySource, held_out
from triptych.data.fit import Size, check
from triptych.data.folder import Files
from triptych.data.npz import read_npz
from triptych.data.packing import (
    Note,
    PackReport,
    Progress,
    Wish,
    duplicates,
    existing,
    key_of,
    listed,
    pack_files,
    quiet,
    report,
)
from triptych.data.places import claimed, data_folder, make_room, publish
from triptych.data.sets import NAMED, open_named
from triptych.data.sources import Where, alone, exists, files_of
from triptych.errors import DataError, UsageError, nearest
from triptych.words import shown

FEW = 100  # images below which a sentence says what will happen


class Splits(NamedTuple):
    """What `open_data` found."""

    train: ArraySource
    validation: ArraySource
    everything: ArraySource  # all images, in the order of their names
    name: str
    shapes: Mapping[Shape, int]  # how many images came in which shape, before any was brought to another


class _Found(NamedTuple):
    source: ArraySource
    validation: NDArray[np.bool_] | None  # None: no official split
    name: str
    shapes: Mapping[Shape, int] = MappingProxyType({})  # {}: as they are


def open_data(
    where: Where,
    *,
    size: int | Size | None = None,
    channels: int | None = None,
    fit: str = "crop",
    seed: int = 0,
    validation: float = 0.1,
    note: Note = print,
    progress: Progress = quiet,
) -> Splits:
    """Open a known data set by name, a folder, zip or tars of images, an .npz file or a pack.

    What holds files of images is packed once, into the data folder. `size` is one side or (height, width);
    without it images of one size up to 128 stay as they are, and others become 64x64. `channels`
    is 1 to 4; without it, the fewest that hold every image. The split is the official one where
    the data has it; else `validation` of the images are held out, each by its own content and
    `seed`. `note` is given one sentence for whatever the user should know.

    Raises `UsageError` for an unknown name or an impossible wish, `DataError` for data that cannot
    be used (each file with its reason), `ResourceError` where the data folder cannot be written.
    """
    wish = Wish(check(size, channels, fit), channels, fit)
    if not 0 < validation < 1:
        raise UsageError(f"validation is {validation}: give the fraction to hold out, such as 0.1.")
    found = _find(alone(where), wish, note, progress)
    mask = found.validation
    if mask is None:
        mask = held_out(found.source.digests, seed, validation)
    everything, counts = found.source.refitted(*wish)
    for text, count in counts.items():
        note(f"{count:,} images: {text}.")
    shapes = found.shapes or {found.source.image_shape: len(found.source)}
    splits = Splits(*_divided(everything, mask, note), everything, found.name, shapes)
    _warn(splits, note)
    return splits


def pack(
    where: Where,
    out: str | Path,
    *,
    size: int | Size | None = None,
    channels: int | None = None,
    fit: str = "crop",
    note: Note = print,
    progress: Progress = quiet,
) -> PackReport:
    """Write anything that `open_data` opens as a pack into the new folder `out`; see there for the rest.

    The report has a line for each file that was converted or refused. A pack that was made of the
    same files with the same wishes stays as it is; anything else in its place is a `DataError`.
    """
    wish, out, where = Wish(check(size, channels, fit), channels, fit), Path(out), alone(where)
    files = None if _known(where) or _is_npz(where) else files_of(where)
    if files is not None:
        return pack_files(files, out, wish, note, progress)
    return _write(_find(where, wish, note, progress), wish, out)


def _write(found: _Found, wish: Wish, out: Path) -> PackReport:
    """What was opened, as a pack of its own."""
    source, counts = found.source.refitted(*wish)
    key = source.fingerprint
    with claimed(out) as part:
        if out.exists():
            return existing(out, key)
        make_room(out.parent, len(source) * int(np.prod(source.image_shape)))
        contents = packed.Contents(
            name=found.name,
            image_shape=source.image_shape,
            names=source.names,
            labels=source.labels,
            class_names=source.class_names,
            texts=source.texts,
            validation=found.validation,
            made_from=key,
            fit=wish.fit,
            converted=[(f"{count:,} images", text) for text, count in counts.items()],
        )
        portions = (range(start, min(start + 1024, len(source))) for start in range(0, len(source), 1024))
        packed.write(part, contents, (source.read(portion).images.numpy() for portion in portions))
        publish(part, out)
    return report(out)


def _is_npz(where: Where) -> bool:
    return isinstance(where, (str, Path)) and Path(where).suffix.lower() == ".npz" and exists(where)


def _known(where: Where) -> bool:
    return isinstance(where, str) and where in NAMED


def _find(where: Where, wish: Wish, note: Note, progress: Progress) -> _Found:
    """Whatever is at `where`; only files that are packed here come in the wished size already."""
    if _known(where):
        return _Found(*open_named(str(where), progress), str(where))
    if isinstance(where, (str, Path)) and exists(where):
        path = Path(where)
        if packed.is_pack(path):
            opened = packed.open_pack(path)
            return _Found(opened.source, opened.contents.validation, opened.contents.name)
        if _is_npz(path):
            return _Found(read_npz(path), None, path.stem)
    files = files_of(where)
    if files is not None:
        return _packed(files, wish, note, progress)
    if exists(where):
        raise DataError(f"{shown(str(where))} is a single file: give a folder of images, a zip, a tar or an .npz.")
    _missing(str(where))


def _missing(where: str) -> NoReturn:
    if re.search(r"[/\\.]", where):
        raise DataError(f"{shown(where)} does not exist: give a folder, a zip, a tar, an .npz, a pack or a known name.")
    hint = nearest(where.lower(), NAMED)
    raise UsageError(f"There is no data set, file or folder {shown(where)!r}: {hint}")


def _packed(files: Files, wish: Wish, note: Note, progress: Progress) -> _Found:
    """The pack of these files in the data folder, made now if it is not there."""
    key = key_of(files, wish)
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", files.name)[:40]
    out = data_folder() / "packs" / f"{stem}-{key[:16]}.pack"
    if not out.exists():
        made = pack_files(files, out, wish, note, progress)
        channels, height, width = made.image_shape
        shape = f"{height}x{width}x{channels}"
        note(f"Packed {made.images:,} images at {shape} in {made.seconds:.1f} s into {made.path}.")
        if made.converted:
            note(f"{len(made.converted):,} conversions, such as {listed(made.converted[:3])}.")
        if made.refused:
            note(f"{len(made.refused):,} files were not used: {listed(made.refused, 20)}.")
    opened = packed.open_pack(out)
    shapes = {(shape[0], shape[1], shape[2]): count for shape, count in opened.contents.shapes}
    return _Found(opened.source, opened.contents.validation, files.name, shapes)


def _divided(everything: ArraySource, mask: NDArray[np.bool_], note: Note) -> tuple[ArraySource, ArraySource]:
    """The training and the validation side."""
    train, validation = everything.subset(np.nonzero(~mask)[0]), everything.subset(np.nonzero(mask)[0])
    if not len(train) or not len(validation):
        what = "There is only one image" if len(everything) == 1 else "All images are the same"
        note(f"{what}: it is used for training and for validation, and a model can only learn it by heart.")
        return everything, everything
    return train, validation


def _warn(splits: Splits, note: Note) -> None:
    """What will go wrong with such data, before it does."""
    everything = splits.everything
    if 1 < len(everything) < FEW:
        note(f"There are only {len(everything)} images: a model trained on them will learn them by heart.")
    copies = duplicates(everything)
    if 0 < copies < len(everything) - 1:
        note(f"{copies:,} of {len(everything):,} images are copies of others.")
    for side, source in (("training", splits.train), ("validation", splits.validation)):
        present = set() if source.labels is None else set(source.labels.tolist())
        missing = [label for number, label in enumerate(source.class_names) if number not in present]
        if missing:
            names = ", ".join(shown(label) for label in missing[:10])
            note(f"No {side} image is of class {names}{' and others' if len(missing) > 10 else ''}.")
