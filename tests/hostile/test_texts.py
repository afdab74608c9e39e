"""Recipes, checkpoints and packs that attack: one sentence, a second, little memory."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hostile.measured import refused
from triptych import recipe, schema, store
from triptych.data import packed
from triptych.sampling import chosen, prompted


def laughs(levels: int) -> str:
    """Each line nine times the one before."""
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


RECIPES: dict[str, tuple[str, str]] = {
    "aliases": (laughs(20), "repeats another part"),
    "itself": ("a: &a [*a]", "repeats another part"),
    "object": ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
    "name": ("a: !!python/name:os.system", "could not determine a constructor"),
    "deep": ("a: " + "[" * 900, "levels"),
    "deeper": ("[" * 200_000, "is not YAML"),
    "wide": ("a: [" + "1," * 100_000 + "]", "values"),
    "long": ("a: " + "x" * 300_000, "characters"),
    "large": ("# " + "x" * 2**21, "cannot be read"),
    "digits": ("batch: " + "9" * 5000, "is not YAML"),
    "twice": ("batch: 64\nbatch: 1", "batch is there twice"),
    "tag": ("batch: !!timestamp x", "is not YAML"),
    "half": ('about: {a: "\\ud800"}\nbatch: no', "batch"),
    "nan": ("ema: {half_life: 5, ramp_up: .nan}", "finite"),
    "infinite": ("ema: {half_life: 5, ramp_up: .inf}", "finite"),
    "huge": ("images: 1" + "0" * 400, "images"),
    "keys": ("1: 2", "keys should be strings"),
}


def completed(path: Path) -> object:
    return schema.complete(recipe.read("dcgan", "x", path))


@pytest.mark.parametrize("name", RECIPES)
def test_recipes(name: str, tmp_path: Path) -> None:
    text, part = RECIPES[name]
    (tmp_path / "x.yaml").write_text(text)
    refused(lambda: completed(tmp_path / "x.yaml"), "UsageError", part)


def header(text: object, body: bytes = b"", length: int | None = None) -> bytes:
    data = text if isinstance(text, bytes) else json.dumps(text).encode()
    return struct.pack("<Q", len(data) if length is None else length) + data + body


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


TENSORS: dict[str, tuple[bytes, str]] = {
    "100 MB": (header(b"{}", length=10**8), "claims 100,000,000 bytes"),
    "2^64": (header(b"{}", length=2**64 - 1), "claims"),
    "behind the end": (header({"a": tensor([100], 0, 400)}, bytes(4)), "not fully covered"),
    "overlap": (header({"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, bytes(4)), "invalid offset"),
    "hole": (header({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12)), "invalid offset"),
    "backwards": (header({"a": tensor([1], 4, 0)}, bytes(4)), ""),
    "dtype": (header({"a": tensor([1], 0, 4, "F64")}, bytes(4)), "data type"),
    "unknown dtype": (header({"a": tensor([1], 0, 4, "PICKLE")}, bytes(4)), "unknown variant"),
    "giant": (header({"a": tensor([2**62, 4], 0, 0)}), "overflow"),
    "negative": (header({"a": tensor([-1], 0, 4)}, bytes(4)), "invalid value"),
    "deep": (header(b'{"a":' + b"[" * 100_000), "recursion"),
    "behind": (header({"a": tensor([1], 0, 4)}, bytes(9)), "not fully covered"),
    "pickle": (b"\x80\x02cposix\nsystem\n.", ""),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors(name: str, tmp_path: Path) -> None:
    data, part = TENSORS[name]
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    refused(lambda: store._tensors(path), "CheckpointError", part)


MANIFESTS = {
    "deep": "[" * 200_000,
    "large": " " * 2**21,
    "list": '{"format": 1, "files": [1, 2]}',
    "negative": '{"format": 1, "files": {"recipe.yaml": {"bytes": -1}}}',
    "nan": '{"format": NaN, "files": {"recipe.yaml": {"bytes": NaN}}}',
    "newer": '{"format": 99, "triptych": "\\u001b[2J"}',
    "digits": '{"format": ' + "9" * 5000 + "}",
}


@pytest.mark.parametrize("name", [*MANIFESTS, "pipe"])
def test_manifests(name: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("a: 1")
    if name == "pipe":
        os.mkfifo(tmp_path / "manifest.json")
    else:
        (tmp_path / "manifest.json").write_text(MANIFESTS[name])
    if name == "newer":  # the command line escapes whatever a version is called
        with pytest.raises(store.CheckpointError):
            store.verify(tmp_path, ("recipe.yaml",))
        return
    refused(lambda: store.verify(tmp_path, ("recipe.yaml",)), "CheckpointError")


def edited(key: str, value: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        said = json.loads((folder / "pack.json").read_text())
        (folder / "pack.json").write_text(json.dumps(said | {key: value}))

    return edit


def claimed(folder: Path) -> None:
    """Digests whose head claims 2^40 rows, of the right size and hash for the manifest."""
    import hashlib

    path = folder / "digests.npy"
    size = path.stat().st_size
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 32)})
        file.write(bytes(size - file.tell()))
    said = json.loads((folder / "pack.json").read_text())
    said["files"]["digests.npy"] = {"bytes": size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    (folder / "pack.json").write_text(json.dumps(said))


PACKS: dict[str, Callable[[Path], object]] = {
    "more": edited("count", 2**40), "none": edited("count", 0), "fewer": edited("count", -2),
    "text": edited("count", "two"), "shape": edited("image_shape", [1, 4]),
    "negative": edited("image_shape", [1, -2, -2]),
    "classes": edited("class_names", [5]), "files": edited("files", {"../../etc/passwd": {"bytes": 1}}),
    "sizes": edited("sizes", [3]), "refused": edited("refused", "x"), "claim": claimed,
    "cut": lambda folder: os.truncate(folder / "images.npy", 100),
    "deep": lambda folder: (folder / "pack.json").write_text("[" * 200_000),
    "names": lambda folder: (folder / "names.json").write_text("{}"),
}  # fmt: skip


@pytest.mark.parametrize("name", PACKS)
def test_packs(name: str, tmp_path: Path) -> None:
    contents = packed.Contents("x", (1, 2, 2), ["a", "b"], np.array([0, 1]), ("k", "l"))
    packed.write(tmp_path, contents, [np.zeros((2, 1, 2, 2), np.uint8)])
    PACKS[name](tmp_path)
    refused(lambda: packed.open_pack(tmp_path), "DataError", "delete the pack")


@pytest.mark.parametrize("text", ["nan", "1e999x", "-1", "", "1 " * 20_000, "٣", "9" * 2**21, "0x10"])
def test_schedules(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(text)
    refused(lambda: chosen(schedule=str(tmp_path / "x.txt")), "UsageError", "--schedule")


def test_files_of_texts(tmp_path: Path) -> None:
    (tmp_path / "marks.txt").write_text("a" + "\u0301\u0327" * 200_000)
    (tmp_path / "large.txt").write_text("x" * 2**21)
    os.mkfifo(tmp_path / "pipe.txt")
    for name in ("marks", "large", "pipe", "gone"):
        refused(lambda name=name: prompted(f"@{tmp_path / name}.txt", 1), "UsageError", "--text")  # type: ignore[misc]
