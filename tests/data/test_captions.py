"""Captions: the forms that are read, what becomes of each line of hostile ones, and how texts travel."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from triptych import durable
from triptych.data import Stream, open_data, pack
from triptych.data.packed import open_pack
from triptych.errors import DataError
from triptych.labels import read

Photos = Callable[..., Path]
LINES = [("0000.png", "a red  heart"), ("0002.png", "ein gru\u0308ner Fisch")]
JSONL = "\n".join(json.dumps({"file_name": name, "text": text}) for name, text in LINES)
CSV = "text,file_name,size\n" + "".join(f'"{text}",{name},8\n' for name, text in LINES)
FORMS: dict[str, Mapping[str, str]] = {
    "jsonl": {"metadata.jsonl": JSONL},
    "csv": {"metadata.csv": "\ufeff" + CSV},
    "txt": {"0000.txt": "a red  heart\n", "0002.txt": LINES[1][1]},
}


def silent(text: str) -> None:
    """Nobody listens."""


def write(root: Path, files: Mapping[str, str | bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data.encode() if isinstance(data, str) else data)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read_from_folders_and_zips(form: str, photos: Photos, tmp_path: Path, heard: list[str]) -> None:
    root = photos({"": 3})
    write(root, FORMS[form])
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in root.iterdir():
            archive.write(path, f"photos/{path.name}")
    for number, where in enumerate((root, tmp_path / "set.zip")):
        report = pack(where, tmp_path / f"{number}.pack", note=heard.append)
        assert (report.images, report.texts, report.refused) == (3, 2, ())
        source = open_pack(tmp_path / f"{number}.pack").source
        assert source.texts == ["a red heart", "", "ein gr\u00fcner Fisch"]
    assert heard == ["1 of 3 images have no text."] * 2


def test_the_first_form_counts_and_folders_are_classes_as_before(photos: Photos, tmp_path: Path) -> None:
    root = photos({"train/cat": 2, "train/dog": 2, "test/cat": 1, "test/dog": 1})
    line = '{"file_name": "cat/0000.png", "text": "first"}'
    write(root, {"train/metadata.jsonl": line, "train/cat/0000.txt": "second", "test/dog/0000.txt": "third"})
    splits = open_data(root, note=silent)
    assert splits.train.class_names == ("cat", "dog")
    assert splits.train.texts == ["first", "", "", ""]
    assert splits.validation.texts == ["", "third"]
    train, held = splits.train.read([0, 3]).given, splits.validation.read([1]).given
    assert train["labels"].tolist() == [0, 1]
    assert train["text"].shape == (2, 5)
    assert held["text"].shape == (1, 5)
    assert (train["text"].dtype, read(train["text"])) == (torch.int64, ["first", ""])
    batch = Stream(splits.train, 0, 8).batch(0)
    assert batch.given["text"].shape == (8, 5)
    rows = zip(batch.given["labels"].tolist(), read(batch.given["text"]), strict=True)
    assert all(label == 0 for label, text in rows if text)


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "not JSON": ("{", 'line 1: no "file_name" and "text"'),
    "another form": ('[1]\n{"file_name": 3, "text": "x"}\n{"file_name": "0000.png"}', "line 1 and 2 more: no"),
    "deep": ("[" * 100_000, "line 1: no"),
    "outside": ('{"file_name": "../../etc/passwd", "text": "x"}', "line 1: no image of this name"),
    "absolute": ('{"file_name": "/etc/passwd", "text": "x"}', "line 1: no image of this name"),
    "missing": ('\n{"file_name": "9.png", "text": "x"}', "line 2: no image of this name"),
    "refused image": ('{"file_name": "bad.png", "text": "x"}', "line 1: no image of this name"),
    "twice": ('{"file_name": "0000.png", "text": "x"}\n' * 3, "line 2 and 1 more: the image has a text already"),
    "surrogate": ('{"file_name": "0000.png", "text": "\\ud800"}', "line 1: half a character"),
    "not UTF-8": (b'{"file_name": "0000.png", "text": "\xff"}', "not UTF-8"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_cannot_be_used_has_its_reason(kind: str, photos: Photos, tmp_path: Path) -> None:
    data, reason = HOSTILE[kind]
    root = photos({"": 2})
    write(root, {"metadata.jsonl": data, "bad.png": b"bad"})
    report = pack(root, tmp_path / "p.pack", note=silent)
    assert report.images == 2
    assert dict(report.refused)["metadata.jsonl"].startswith(reason)
    assert report.texts == (kind == "twice")


def test_hostile_tables_and_files_beside(photos: Photos, tmp_path: Path) -> None:
    root = photos({"": 2})
    write(root, {
        "metadata.csv": 'file_name,text\n0000.png,fine\n0001.png,"' + "x" * 200_000,
        "0001.txt": b"\xff", "LICENSE.txt": "for all", "other.md": "#", "other.txt": "of no image",
    })  # fmt: skip
    (root / "link.txt").symlink_to("/etc/passwd")
    report = pack(root, tmp_path / "p.pack", note=silent)
    reasons = dict(report.refused)
    assert report.texts == 1
    assert reasons["metadata.csv"] == 'line 3: no "file_name" and "text"'
    assert reasons["0001.txt"] == "not UTF-8"
    assert reasons["other.txt"] == "line 1: no image of this name is used"
    assert "a text file" in reasons["LICENSE.txt"]
    assert reasons["link.txt"] == "a symbolic link"


def test_long_texts_are_cut_at_a_character(photos: Photos, tmp_path: Path, heard: list[str]) -> None:
    root = photos({"": 1})
    write(root, {"0000.txt": "x" + "\u00e9" * 200})
    pack(root, tmp_path / "p.pack", note=heard.append)
    assert open_pack(tmp_path / "p.pack").source.texts == ["x" + "\u00e9" * 127]
    assert heard == ["1 texts are longer than 256 bytes and are cut."]


def test_texts_are_part_of_what_is_packed(photos: Photos, tmp_path: Path) -> None:
    root = photos({"": 4})
    plain = pack(root, tmp_path / "plain.pack", note=silent)
    assert json.loads((tmp_path / "plain.pack" / "pack.json").read_text())["version"] == 4
    prints = {plain.fingerprint}
    for text in ("one", "two"):
        write(root, {"0001.txt": text})
        made = pack(root, tmp_path / f"{text}.pack", note=silent)
        prints.add(made.fingerprint)
    assert len(prints) == 3
    with pytest.raises(DataError, match="made from other files"):
        pack(root, tmp_path / "one.pack", note=silent)
    again = pack(tmp_path / "two.pack", tmp_path / "small.pack", size=4, note=silent)
    source = open_pack(tmp_path / "small.pack").source
    assert (again.texts, source.texts) == (1, ["", "two", "", ""])
    part = source.subset(np.array([1, 2])).subset(np.array([1]))
    assert part.texts == [""]
    assert part.read([0]).given["text"].tolist() == [[-1, -1, -1]]
    assert part.fingerprint != source.fingerprint


@pytest.mark.parametrize("damage", ['["a"]', '{"0": "a", "1": "b"}', "[1, 2]", "3", '["a", "c"]'])
def test_damaged_texts_are_named(damage: str, photos: Photos, tmp_path: Path) -> None:
    root = photos({"": 2})
    write(root, {"0000.txt": "a", "0001.txt": "b"})
    out = tmp_path / "p.pack"
    pack(root, out, note=silent)
    (out / "texts.json").write_text(damage)
    facts = json.loads((out / "pack.json").read_text())
    with pytest.raises(DataError, match=r"texts\.json is missing or damaged"):
        open_pack(out)
    facts["files"]["texts.json"] = {"bytes": len(damage), "sha256": hashlib.sha256(damage.encode()).hexdigest()}
    (out / "pack.json").write_text(durable.sealed(facts))
    with pytest.raises(DataError, match="is missing or damaged"):
        open_pack(out)
    os.remove(out / "texts.json")
    with pytest.raises(DataError, match=r"texts\.json is missing"):
        open_pack(out)
