"""The power fails after each call that changes the disk: what was only in memory is gone, and the run goes on.

A run is recorded by the library beside libc: each folder made, file opened, written, renamed, removed,
pushed to the disk. A disk in memory follows the record and knows what is safe: the bytes of a file since its
last fsync are not, nor are the names in a folder since its own. After each call three disks are built from
it, since a file system may write what it likes before it is told to.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from faults import shim
from faults.process import call
from faults.subjects import ALWAYS, END, SELDOM, Subject, copy, differing_bits, orphans, words
from triptych import store
from triptych.errors import CheckpointError


class Disk(Enum):
    """What of the unsafe is there after the cut."""

    NOTHING = "nothing that was not pushed"
    NAMES = "all names, but files without what was not pushed"
    HALVES = "all names, and half of what was not pushed"


@dataclass(eq=False)
class File:
    now: bytes = b""
    safe: bytes = b""

    def half(self) -> bytes:
        """Half of what was not pushed; behind what was, where the file only grew."""
        start = len(self.safe) if self.now.startswith(self.safe) else 0
        return self.now[: (start + len(self.now)) // 2 if self.now != self.safe else None]


@dataclass(eq=False)
class Folder:
    now: dict[str, File | Folder] = field(default_factory=dict)
    safe: dict[str, File | Folder] = field(default_factory=dict)


class Call(NamedTuple):
    """One line of the record."""

    name: str
    path: str
    more: str
    data: bytes


@dataclass
class Row:
    """Cuts of one run, on one kind of disk."""

    case: str
    calls: int = 0
    states: int = 0  # different ones
    unloadable: int = 0
    lost: int = 0  # states whose newest whole checkpoint is older than one that was on the disk
    resumed: int = 0  # states from which the run was trained to its end
    differing: int = 0  # bits
    orphans: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return self.states > 0 and not (self.unloadable or self.lost or self.differing or self.orphans)


def campaign(subjects: list[Subject], folder: Path, resumes: int = 10, seed: int = 0) -> list[Row]:
    """For each subject, from nothing and from its start: all cuts; so many of each row are trained to the end."""
    chances = random.Random(seed)
    rows = []
    for subject in subjects:
        for begun in (False, True):
            calls, tree = _recorded(subject, folder, begun)
            for disk in Disk:
                row = Row(f"{subject.name}, {'resumed' if begun else 'from nothing'}: {disk.value}", len(calls))
                _cut_everywhere(subject, calls, tree(), disk, folder / "run", row, resumes, chances)
                rows.append(row)
    return rows


def _recorded(subject: Subject, folder: Path, begun: bool) -> tuple[list[Call], Callable[[], Folder]]:
    """What a run did to the disk, and a function that gives the disk before it."""
    run, log = folder / "run", folder / "calls"
    shutil.rmtree(run, ignore_errors=True)
    if begun:
        copy(subject, run)
    before = folder / "before"
    shutil.rmtree(before, ignore_errors=True)
    if begun:
        shutil.copytree(run, before)
    handle = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    line = words(subject.name, run, END if begun else 4, *ALWAYS)
    end = call(line, folder / "said", lambda: shim.record(handle, run))
    os.close(handle)
    assert end.code == 0, end.said
    return list(_calls(log.read_bytes(), run)), lambda: _read(before) if begun else Folder()


def _calls(record: bytes, run: Path) -> Iterator[Call]:
    while record:
        line, _, record = record.partition(b"\n")
        name, path, more, length = line.decode().split("\t")
        data, record = record[: int(length)], record[int(length) :]
        yield Call(name, os.path.relpath(path, run), more, data)


def _read(path: Path) -> Folder:
    """A folder of the real disk, all of it safe."""
    folder = Folder()
    for entry in path.iterdir():
        folder.now[entry.name] = _read(entry) if entry.is_dir() else File(entry.read_bytes(), entry.read_bytes())
    folder.safe = dict(folder.now)
    return folder


def _parent(root: Folder, path: str) -> tuple[Folder, str]:
    *above, name = path.split("/")
    for step in above:
        root = root.now[step]  # type: ignore[assignment]
    return root, name


def _follow(root: Folder, run: Path, one: Call) -> None:
    """One call on the disk in memory."""
    if one.path == ".":
        if one.name == "fsync":
            root.safe = dict(root.now)
        return
    folder, name = _parent(root, one.path)
    if one.name == "mkdir":
        folder.now[name] = Folder()
    elif one.name == "open":
        file = folder.now.setdefault(name, File())
        if one.more and isinstance(file, File):
            file.now = b""
    elif one.name == "write":
        file, start = folder.now[name], int(one.more)
        assert isinstance(file, File)
        file.now = file.now[:start].ljust(start, b"\0") + one.data + file.now[start + len(one.data) :]
    elif one.name == "fsync":
        if name not in folder.now:  # safetensors renames its file without libc: the oldest that is left is this one
            folder.now[name] = folder.now.pop(next(other for other in folder.now if other.startswith(".tmp")))
        node = folder.now[name]
        node.safe = dict(node.now) if isinstance(node, Folder) else node.now  # type: ignore[assignment]
    elif one.name == "rename":
        source, old = _parent(root, os.path.relpath(one.more, run))
        folder.now[name] = source.now.pop(old)
    else:  # unlink, rmdir
        del folder.now[name]


def _files(folder: Folder, disk: Disk, path: str = "") -> dict[str, bytes | None]:
    """All that is there after a cut: bytes of files, None for folders."""
    found: dict[str, bytes | None] = {}
    for name, node in (folder.safe if disk == Disk.NOTHING else folder.now).items():
        if isinstance(node, Folder):
            found[path + name] = None
            found |= _files(node, disk, f"{path}{name}/")
        else:
            found[path + name] = node.half() if disk == Disk.HALVES else node.safe
    return found


def _cut_everywhere(subject: Subject, calls: list[Call], root: Folder, disk: Disk, run: Path, row: Row, resumes: int,
                    chances: random.Random) -> None:  # fmt: skip
    states, published = [], 0
    earlier: dict[str, bytes | None] | None = None
    for one in calls:
        _follow(root, run, one)
        if one.name == "fsync" and one.path == "at":
            folder = root.now["at"]
            assert isinstance(folder, Folder)
            published = max((int(name) for name in folder.now if name.isdigit()), default=0)
        state = _files(root, disk)
        if state != earlier:
            states.append((state, published))
        earlier = state
    row.states = len(states)
    for state, least in states:
        _build(state, run)
        store.tidy(run)
        try:
            found, _ = store.newest(run)
        except CheckpointError as error:
            row.unloadable += 1
            row.notes.append(str(error))
            continue
        row.lost += (int(found.name) if found else 0) < least
    for state, _ in chances.sample(states, min(resumes, len(states))):
        _build(state, run)
        _go_on(subject, run, row)


def _build(state: dict[str, bytes | None], run: Path) -> None:
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    for path, data in state.items():
        (run / path).parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            (run / path).mkdir(exist_ok=True)
        else:
            (run / path).write_bytes(data)


def _go_on(subject: Subject, run: Path, row: Row) -> None:
    """Train what the power cut left to its end."""
    end = call(words(subject.name, run, END, *SELDOM), run.parent / "said")
    row.resumed += 1
    if end.code:
        row.unloadable += 1
        row.notes.append(end.sentence)
        return
    row.differing += differing_bits(run, subject.whole)
    row.orphans += len(orphans(run))


def table(rows: list[Row]) -> str:
    """Runs and disks x cuts, as Markdown."""
    lines = ["| run: what is left | calls | states | unloadable | older than the last | trained on | differing bits | "
             "orphans |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        numbers = (row.calls, row.states, row.unloadable, row.lost, row.resumed, row.differing, row.orphans)
        lines.append(f"| {row.case} | {' | '.join(f'{number:,}' for number in numbers)} |")
    return "\n".join(lines)
