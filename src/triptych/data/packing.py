"""From the files of a folder or zip to a pack: list, decode, fit, spool, write, publish.

Nothing but finished packs ever stands under the final name. Memory stays the same however many
files there are; an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from triptych.core import Shape
from triptych.data import packed
from triptych.data.arrays import ArraySource
from triptych.data.captions import captions
from triptych.data.fit import Size, channel_note, channels_for
from triptych.data.folder import Entry, Files
from triptych.data.layout import layout
from triptych.data.places import claimed, make_room, publish
from triptych.data.spool import Line, Spool
from triptych.data.worker import Reply, Task, Workers
from triptych.errors import DataError
from triptych.machine import cores
from triptych.words import shown

Progress = Callable[[int, int], None]  # (done, total)
Note = Callable[[str], None]
DEFAULT_SIDE, LARGEST_KEPT = 64, 128
MOST_LISTED = 20  # sizes that a pack lists
_GROUP = 2**22  # bytes of files, or of pixels, that travel to a worker and back together
_PER_WORKER = 64  # files for which one more process is worth its start


class Wish(NamedTuple):
    """How the images are to be."""

    size: Size | None  # None: as they are, if they agree and are small; else DEFAULT_SIDE squared
    channels: int | None  # None: the fewest that hold them all
    fit: str


class PackReport(NamedTuple):
    """What is in a pack and how it came there; every name is safe to print."""

    path: str
    name: str
    images: int
    image_shape: Shape
    class_names: tuple[str, ...]
    texts: int  # images that have one
    official_split: bool
    fit: str
    fingerprint: str
    duplicates: int  # images that are the same as an earlier one
    sizes: tuple[tuple[str, int], ...]  # ("480x640", images of that size), the most frequent first
    converted: tuple[tuple[str, str], ...]  # (file, note)
    refused: tuple[tuple[str, str], ...]  # (file, reason)
    seconds: float


def quiet(done: int, total: int) -> None:
    """Progress that nobody watches."""


def pack_files(files: Files, out: Path, wish: Wish, note: Note, progress: Progress) -> PackReport:
    """Pack all images of `files` into the folder `out`; a pack of the same files and wishes stays."""
    started, key = time.monotonic(), key_of(files, wish)
    with claimed(out) as part:
        if out.exists():
            return existing(out, key)
        with Workers(_worth(len(files.entries))) as workers:
            size = wish.size or _common_size(workers, files, note)
            make_room(out.parent, 2 * len(files.entries) * size[0] * size[1] * (wish.channels or 3))
            with Spool(part, key, size) as spool:
                task = Task(*size, wish.fit, wish.channels or 0)
                _fill(spool, workers, files, task, note, progress)
                _require(spool.kept, spool.lines, files)
                channels = wish.channels or channels_for(line.channels for line in spool.kept)
                contents = _contents(files, spool.lines, (channels, *size), wish.fit, key, note)
                packed.write(part, contents, spool.chunks(channels))
        spool.remove()
        publish(part, out)
    return report(out, time.monotonic() - started)


def existing(out: Path, key: str) -> PackReport:
    """The report of a pack that is there already, if it was made from the same; else `DataError`."""
    if not packed.is_pack(out):
        raise DataError(f"{shown(str(out))} is there already and is no pack: choose another name.")
    if packed.open_pack(out).contents.made_from != key:
        raise DataError(
            f"{shown(str(out))} is there already, made from other files or with other settings: "
            "choose another name, or delete it first."
        )
    return report(out)


def report(path: Path, seconds: float = 0.0) -> PackReport:
    """The report of a pack that was written before."""
    source, contents, fingerprint = packed.open_pack(path)
    return PackReport(
        path=shown(str(path)),
        name=shown(contents.name),
        images=len(source),
        image_shape=source.image_shape,
        class_names=tuple(shown(name) for name in source.class_names),
        texts=sum(map(bool, source.texts)),
        official_split=contents.validation is not None,
        fit=contents.fit,
        fingerprint=fingerprint,
        duplicates=duplicates(source),
        sizes=tuple((size, count) for size, count in contents.sizes),
        converted=tuple((shown(name), note) for name, note in contents.converted),
        refused=tuple((shown(name), shown(reason)) for name, reason in contents.refused),
        seconds=round(seconds, 3),
    )


def duplicates(source: ArraySource) -> int:
    """How many images are the same as an earlier one."""
    return len(source) - len(np.unique(source.digests.view(np.dtype((np.void, 32)))))


def key_of(files: Files, wish: Wish) -> str:
    """Hexadecimal digits that change when a file is added, removed or changed, or a wish is."""
    total = hashlib.sha256(json.dumps([files.name, wish, files.skipped]).encode())
    for entry in (*files.entries, *files.captions):
        total.update(json.dumps(entry).encode())
    return total.hexdigest()


def listed(lines: Sequence[tuple[str, str]], most: int = 50) -> str:
    """Files with their reasons as the end of a sentence."""
    text = "; ".join(f"{shown(name)}: {shown(reason)}" for name, reason in lines[:most])
    return text + (f"; and {len(lines) - most:,} more" if len(lines) > most else "")


def _fill(spool: Spool, workers: Workers, files: Files, task: Task, note: Note, progress: Progress) -> None:
    """Decode every file that the spool does not hold yet."""
    total, done = len(files.entries), len(spool.lines)
    if done:
        note(f"Going on after {done:,} of {total:,} files that an interrupted run has decoded.")
    for replies in _replies(workers, files, files.entries[done:], task):
        spool.add([entry.name for entry in files.entries[done : done + len(replies)]], replies)
        done += len(replies)
        progress(done, total)


def _replies(workers: Workers, files: Files, entries: Sequence[Entry], task: Task) -> Iterator[list[Reply]]:
    """What becomes of the files, some groups at a time, so that memory stays bounded."""
    groups = _groups(entries, most=max(1, min(32, _GROUP // max(1, 4 * task.height * task.width))))
    while some := list(itertools.islice(groups, 8 * workers.count)):
        reads = [[partial(files.read, entry) for entry in group] for group in some]
        yield [reply for replies in workers.map(task, reads) for reply in replies]


def _groups(entries: Sequence[Entry], most: int) -> Iterator[list[Entry]]:
    """Up to `most` small files, or one large one."""
    group: list[Entry] = []
    for entry in entries:
        if group and (len(group) == most or entry.size + sum(other.size for other in group) > _GROUP):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _worth(files: int) -> int:
    return max(1, min(cores(), 16, files // _PER_WORKER))


def _common_size(workers: Workers, files: Files, note: Note) -> Size:
    """The size of all images, if it is one and small; else the default."""
    sizes: set[Size] = set()
    for replies in _replies(workers, files, files.entries, Task(0, 0, "crop", 0)):
        sizes |= {reply.size for reply in replies if not reply.refused}
        if len(sizes) > 1 or any(max(size) > LARGEST_KEPT for size in sizes):
            why, side = "have different sizes" if len(sizes) > 1 else "are large", DEFAULT_SIDE
            note(f"The images {why}: they are brought to {side}x{side}, unless a size is given.")
            return side, side
    return sizes.pop() if sizes else (DEFAULT_SIDE, DEFAULT_SIDE)


def _require(kept: Sequence[Line], lines: Sequence[Line], files: Files) -> None:
    """At least one image."""
    if kept:
        return
    reasons = [(line.name, line.refused) for line in lines] + files.skipped
    raise DataError(f"No image in {shown(files.name)} can be used: {listed(reasons) or 'it holds no files'}.")


def _contents(files: Files, lines: list[Line], shape: Shape, fit: str, key: str, note: Note) -> packed.Contents:
    kept = [line for line in lines if not line.refused]
    deeds = ((line.name, (*line.notes, *channel_note(line.channels, shape[0]))) for line in kept)
    names = [line.name for line in kept]
    found, said = layout(names, files.folders), captions(files, names)
    for sentence in (*found.notes, *said.notes):
        note(sentence[0].upper() + sentence[1:] + ".")
    sizes = Counter(f"{line.size[0]}x{line.size[1]}" for line in kept)
    return packed.Contents(
        name=files.name,
        image_shape=shape,
        names=names,
        labels=found.labels,
        class_names=found.class_names,
        texts=said.texts,
        validation=found.validation,
        made_from=key,
        fit=fit,
        converted=[(name, text) for name, texts in deeds for text in texts],
        refused=[(line.name, line.refused) for line in lines if line.refused] + files.skipped + said.refused,
        sizes=sizes.most_common(MOST_LISTED),
        shapes=_shapes(kept, shape[0]).most_common(MOST_LISTED),
    )


def _shapes(kept: Sequence[Line], channels: int) -> Counter[Shape]:
    """How many files came in which shape; among images with alpha, one without is opaque."""
    alpha = channels in (2, 4)
    return Counter((line.channels + (alpha and line.channels in (1, 3)), *line.size) for line in kept)
