"""One changed bit, or an end cut off, in any file of a checkpoint or a pack: noticed before it is used, and named."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from triptych import store
from triptych.data import open_data, pack
from triptych.data.packed import open_pack
from triptych.errors import CheckpointError, DataError

LENGTHS = (0, 1, 4, 100, -0.5, -1)  # bytes that are left; half of them; all but one


@dataclass
class Row:
    """What was done to one file."""

    file: str
    harms: int = 0
    noticed: int = 0
    named: int = 0  # the message names the file
    offered: int = 0  # and the way out: the older checkpoint was taken, or making the pack anew was advised
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return self.harms == self.noticed == self.named == self.offered


def campaign(run: Path, folder: Path, count: int, seed: int = 0) -> list[Row]:
    """`count` flips over the files of the newest checkpoint of a run and of a pack, and each length of each file."""
    newest = store.checkpoints(run)[-1]
    packed = _packed(folder)
    targets = [(path, lambda path: _resumed(run, path)) for path in sorted(newest.iterdir())]
    targets += [(path, lambda path: _sampled(newest, path)) for path in sorted(newest.glob("m*")) if path.is_file()]
    targets += [(path, lambda path: _opened(packed, path)) for path in sorted(packed.iterdir())]
    chances = random.Random(seed)
    rows = []
    for index, (path, use) in enumerate(targets):
        row = Row(f"{path.name} ({'resuming' if index < 5 else 'sampling' if path.parent == newest else 'pack'})")
        for harm in _flips(path, count // len(targets) + (index < count % len(targets)), chances):
            _judge(path, harm, use, row)
        row_cut = Row(f"{row.file}, cut")
        for length in LENGTHS:
            _judge(path, lambda data, length=length: _cut(data, length), use, row_cut)
        rows += [row, row_cut]
    return rows


Use = Callable[[Path], tuple[str, bool]]  # uses the file; the message, "" where nothing was noticed, and a way out


def _flips(path: Path, count: int, chances: random.Random) -> Iterator[Callable[[bytes], bytes]]:
    """Bits at random: half of them in the first 4 KiB, where headers are."""
    size = path.stat().st_size
    for index in range(count):
        place = chances.randrange(size if index % 2 else min(size, 4096))
        bit = 1 << chances.randrange(8)
        yield lambda data, place=place, bit=bit: data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]


def _cut(data: bytes, length: float) -> bytes:
    return data[: len(data) // 2] if length == -0.5 else data[: int(length)]


@contextmanager
def harmed(path: Path, harm: Callable[[bytes], bytes]) -> Iterator[None]:
    """The file with a harm, and whole again afterwards."""
    whole = path.read_bytes()
    path.write_bytes(harm(whole))
    try:
        yield
    finally:
        path.write_bytes(whole)


def _judge(path: Path, harm: Callable[[bytes], bytes], use: Use, row: Row) -> None:
    if harm(whole := path.read_bytes()) == whole:
        return  # a file that is shorter than the cut
    with harmed(path, harm):
        message, way_out = use(path)
    row.harms += 1
    row.noticed += bool(message)
    row.named += path.name in message
    row.offered += way_out
    if not (message and way_out):
        row.notes.append(message or "not noticed")


def _resumed(run: Path, path: Path) -> tuple[str, bool]:
    """What `train` does first; the older checkpoint is to be taken."""
    found, complaints = store.newest(run)
    return " ".join(complaints), found is not None and found != path.parent and str(found) in " ".join(complaints)


def _sampled(checkpoint: Path, path: Path) -> tuple[str, bool]:
    """What `sample` does first."""
    try:
        store.load(checkpoint)
    except CheckpointError as error:
        return str(error), "Use " in str(error)
    return "", False


def _opened(folder: Path, path: Path) -> tuple[str, bool]:
    """What `train` does with a pack: open it and read every image once."""
    try:
        source = open_pack(folder).source
        source.read(range(len(source)))
    except DataError as error:
        return str(error), "anew" in str(error) or "does not describe a pack" in str(error)
    return "", False


def _packed(folder: Path) -> Path:
    """A pack with classes, captions and a file that was converted."""
    from PIL import Image

    chances = np.random.default_rng(0)
    for index in range(40):
        place = folder / "photos" / "äb"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        mode, shape = ("L", (8, 8)) if index == 0 else ("RGB", (8, 8, 3))
        Image.fromarray(chances.integers(0, 255, shape, np.uint8), mode).save(place / f"ü{index}.png")
        (place / f"ü{index}.txt").write_text(f"caption {index}", encoding="utf-8")
    out = folder / "photos.pack"
    pack(folder / "photos", out, note=lambda text: None)
    open_data(out, note=lambda text: None)
    return out


def table(rows: list[Row]) -> str:
    """Files x harms x noticed x named x a way out, as Markdown."""
    lines = ["| file | harms | noticed | named | way out |", "|---|---|---|---|---|"]
    lines += [f"| {r.file} | {r.harms:,} | {r.noticed:,} | {r.named:,} | {r.offered:,} |" for r in rows]
    sums = [sum(getattr(row, name) for row in rows) for name in ("harms", "noticed", "named", "offered")]
    return "\n".join([*lines, f"| all | {' | '.join(f'{number:,}' for number in sums)} |"])
