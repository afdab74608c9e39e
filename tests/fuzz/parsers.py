"""Every parser of what comes from outside, as a function of bytes, with a few good inputs to begin from.

A parser may return, or raise an error of triptych with its sentence; anything else is a fault.
"""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hostile.images import PIXEL, gif_of, png_of, tiff
from triptych import quantities, recipe, sampling, schema, store
from triptych.cli import main
from triptych.data import packed
from triptych.data.captions import captions
from triptych.data.decode import Refused, decode
from triptych.data.folder import Entry, Skipped
from triptych.data.npz import read_npz
from triptych.data.zipped import Zip
from triptych.errors import TriptychError
from triptych.training.logbook import read as read_log
from triptych.training.state import State

ALLOWED = (TriptychError, Refused)
Parser = Callable[[bytes], object]


class Target(NamedTuple):
    """A parser and its corpus."""

    parse: Parser
    corpus: tuple[bytes, ...]


@cache
def folder() -> Path:
    """A place for the files that parsers open, for as long as the process lives."""
    holder = tempfile.TemporaryDirectory(prefix="triptych-fuzz-")
    _HELD.append(holder)
    return Path(holder.name)


_HELD: list[tempfile.TemporaryDirectory[str]] = []


def at(name: str, data: bytes) -> Path:
    """The bytes as a file of this name."""
    path = folder() / name
    path.write_bytes(data)
    return path


class Texts:
    """One file of captions beside two images, as `triptych.data.folder.Files`."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.folders, self.skipped, self.data = "x", list[str](), Skipped(), data
        self.entries = [Entry("a.png", 1, 0), Entry("b/c.png", 1, 0)]
        self.captions = [Entry(name, len(data), 0)]

    def read(self, entry: Entry) -> bytes:
        return self.data


def words(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def amounts(data: bytes) -> None:
    text = words(data)
    readers: tuple[Callable[[str, str], object], ...] = (
        quantities.count, quantities.share, quantities.seconds, quantities.operations, quantities.size,
        quantities.whole_numbers, lambda value, name: quantities.decimal(value, name, -1e9, 1e9),
    )  # fmt: skip
    for reader in readers:
        try:
            reader(text, "--x")
        except TriptychError:
            continue


def whole_recipe(data: bytes) -> None:
    schema.complete(recipe.read("dcgan", "x", at("recipe.yaml", data)))


def one_change(data: bytes) -> None:
    schema.complete(recipe.read("dcgan", "x", None, [words(data)]))


def flags_of_sampling(data: bytes) -> None:
    text = words(data)
    for name in ("steps", "guidance", "interval", "schedule", "truncation", "temperature", "pixels"):
        try:
            sampling.chosen(**{name: text})
        except TriptychError:
            continue


def command_line(data: bytes) -> None:
    """The words of a command that fails at its door at the latest, for there is no such run."""
    line = [word for word in words(data).split("\0") if word not in ("-o", "--out") and not word.startswith("--out")]
    assert main(["sample", str(folder() / "no run"), *line, "--quiet"]) in (2, 4)


def manifest(data: bytes) -> None:
    at("manifest.json", data)
    store.verify(folder(), ("manifest.json",))


def pack_head(data: bytes) -> None:
    place = folder() / "x.pack"
    if not place.exists():
        place.mkdir()
        contents = packed.Contents("x", (1, 2, 2), ["a", "b"], np.array([0, 1]), ("k", "l"))
        packed.write(place, contents, [np.zeros((2, 1, 2, 2), np.uint8)])
        _PACK.append((place / "pack.json").read_bytes())
    (place / "pack.json").write_bytes(data or _PACK[0])
    packed.open_pack(place)


_PACK: list[bytes] = []


def pack_of() -> bytes:
    pack_head(b"")
    return _PACK[0]


def tensors(header: dict[str, object], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def npz_of(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def zip_of() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as writer:
        for name in ("a/1.png", "b/2.png"):
            writer.writestr(name, PIXEL)
    return file.getvalue()


def whole_zip(data: bytes) -> None:
    files = Zip(at("x.zip", data))
    for entry in files.entries:
        files.read(entry)


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
STATE = {"seed": 0, "seen": 64, "steps": 1, "seconds": 0.5, "sums": {"a": 1.0}, "counts": {"a": 1}}
MANIFEST = {"format": 1, "triptych": "0.1", "seen": 64, "files": {"manifest.json": {"bytes": 9, "sha256": "0" * 64}}}
TARGETS: dict[str, Callable[[], Target]] = {
    "amounts": lambda: Target(amounts, (b"1.5k", b"1h30m", b"48x64", b"1%", b"2.5e15", b"0-7,9", b"-.5e-3")),
    "recipe": lambda: Target(whole_recipe, (
        b"model: {kind: dcgan, width: 8}\nbatch: 64\n", b"optimisers:\n  critic: {kind: adam, betas: [0.5, 0.9]}\n",
        b"objective: {penalty: {kind: r1, gamma: .nan}}\n", b"ema: null\nstop: {watch: a/b, patience: 0x10}\n",
    )),
    "change": lambda: Target(one_change, (
        b"model.width=8", b"objective.penalty=null", b"batch=1_0", b"a.b=[1, {c: d}]")),
    "schedule": lambda: Target(lambda data: sampling.chosen(schedule=str(at("x.txt", data))), (
        b"80\n1.5\n0.002\n", b"1e3 inf")),
    "prompts": lambda: Target(lambda data: sampling.prompted(f"@{at('p.txt', data)}", 2), (
        b"a cat\na dog\n", "é\n".encode())),
    "labels": lambda: Target(lambda data: sampling.named(words(data), ("cat", "dog"), 2), (b"cat,1", b"0, dog")),
    "flags": lambda: Target(flags_of_sampling, (b"0.2,5", b"1.5", b"karras", b"mean")),
    "command": lambda: Target(command_line, (b"--steps\x005\0--seed\x001-3", b"-n\x004\0--labels\0cat", b"--text\0a")),
    "jsonl": lambda: Target(lambda data: captions(Texts("metadata.jsonl", data), ["a.png", "b/c.png"]), (
        b'{"file_name": "a.png", "text": "a cat"}\n{"file_name": "b/../b/c.png", "text": "\\ud83d\\ude00"}\n',)),
    "csv": lambda: Target(lambda data: captions(Texts("metadata.csv", data), ["a.png", "b/c.png"]), (
        b'file_name,text\na.png,"a ""cat"""\r\nb/c.png,x\n',)),
    "txt": lambda: Target(lambda data: captions(Texts("a.txt", data), ["a.png", "b/c.png"]), (
        "a  café\u0301\n".encode(),)),
    "manifest": lambda: Target(manifest, (json.dumps(MANIFEST).encode(),)),
    "state": lambda: Target(lambda data: State.of(json_state(data)), (json.dumps(STATE).encode(),)),
    "pack": lambda: Target(pack_head, (pack_of(),)),
    "safetensors": lambda: Target(lambda data: store._tensors(at("x.safetensors", data)), (
        tensors({"a": ONE, "__metadata__": {"b": "c"}}, bytes(8)),)),
    "log": lambda: Target(lambda data: read_log(at("x.jsonl", data)), (b'{"seen": 64, "seconds": 1.5, "a/b": NaN}\n',)),
    "npz": lambda: Target(lambda data: read_npz(at("x.npz", data)), (
        npz_of(images=np.zeros((3, 4, 4, 1), np.uint8), labels=np.arange(3)),)),
    "zip": lambda: Target(whole_zip, (zip_of(),)),
    "image": lambda: Target(decode, (PIXEL, gif_of(2), tiff({}), png_of(9))),
}  # fmt: skip


def json_state(data: bytes) -> dict[str, object]:
    """The counters of a checkpoint, by the door that reads them."""
    at("state.json", data)
    for name in ("model", "state"):
        at(f"{name}.safetensors", tensors({"a": ONE}, bytes(8)))
    return store.read_state(folder())[2]
