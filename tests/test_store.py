"""Checkpoints: whole or refused, by name, with a way out."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych import store
from triptych.cli import main
from triptych.errors import CheckpointError, ResourceError

TREE = {"name": "x", "data": {"image_shape": [1, 8, 8], "class_names": []}}


def save(run: Path, seen: int, value: float = 1.0) -> Path:
    tensors = {"model": {"w": torch.full((4, 4), value)}, "state": {"m": torch.arange(9.0)}}
    return store.save(run, seen, TREE, tensors, {"seen": seen})


@pytest.fixture
def trained(train_tiny: Callable[..., Any]) -> Path:
    """A run with two checkpoints."""
    train_tiny("vae", 2)
    return Path(train_tiny("vae", 4).run)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = save(tmp_path, 64, 0.1)
    shown, held, counters = store.read_state(path)
    assert torch.equal(shown["w"], torch.full((4, 4), 0.1))
    assert torch.equal(held["m"], torch.arange(9.0))
    assert counters == {"seen": 64}
    assert store.newest(tmp_path) == (path, [])


def test_the_last_good_ones_are_kept(tmp_path: Path) -> None:
    for seen in (1, 20, 300, 4000):
        save(tmp_path, seen)
    assert [int(p.name) for p in store.checkpoints(tmp_path)] == [300, 4000]


@pytest.mark.parametrize("name", store.FOR_TRAINING)
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "gone", "junk"])
def test_damage_is_noticed_and_the_older_one_is_used(tmp_path: Path, name: str, harm: str) -> None:
    older, newer = save(tmp_path, 1), save(tmp_path, 2)
    file = newer / name
    whole = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes({"flip": flipped, "cut": whole[:-1], "empty": b"", "junk": whole + b"!"}[harm])
    found, complaints = store.newest(tmp_path)
    assert found == older
    assert str(file) in complaints[0]
    assert str(older) in complaints[0]
    shutil.rmtree(older)
    with pytest.raises(CheckpointError, match="No whole checkpoint is left"):
        store.newest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99, "triptych": "9.0"}', '{"format": 1}', "[" * 100_000])
def test_manifests_that_are_none(tmp_path: Path, text: str) -> None:
    path = save(tmp_path, 1)
    (path / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        store.verify(path, store.FOR_SAMPLING)


def test_a_full_disk_leaves_the_older_one_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = save(tmp_path, 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_seal", full)  # the one thing that cannot be had here: a full disk
    with pytest.raises(ResourceError, match="No space left"):
        save(tmp_path, 2)
    assert store.newest(tmp_path) == (older, [])
    assert [p.name for p in (tmp_path / "at").iterdir()] == [older.name]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ResourceError):
        save(tmp_path, 1)


def test_sampling_a_damaged_run_exits_with_4(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newest = store.checkpoints(trained)[-1]
    (newest / "model.safetensors").write_bytes(b"not tensors")
    out = str(tmp_path / "x.png")
    assert main(["sample", str(trained), "-o", out, "--quiet"]) == 4
    said = capsys.readouterr().err
    assert str(newest / "model.safetensors") in said
    way_out = str(store.checkpoints(trained)[0])
    assert way_out in said
    assert main(["sample", way_out, "-o", out, "--quiet"]) == 0


def test_training_goes_on_from_the_older_one(trained: Path, train_tiny: Callable[..., Any]) -> None:
    (store.checkpoints(trained)[-1] / "state.safetensors").unlink()
    assert train_tiny("vae", 6).steps == 6


@pytest.mark.parametrize("kind", ["nothing", "empty", "foreign", "other tensors"])
def test_folders_that_hold_no_checkpoint(trained: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other"
    if kind != "nothing":
        path.mkdir()
    if kind == "foreign":
        (path / "model.safetensors").write_bytes(b"\x00" * 100)
    if kind == "other tensors":
        path = save(path, 1)
    with pytest.raises(CheckpointError, match=str(path)):
        store.load(path)


def test_only_two_files_are_needed_to_sample(trained: Path, tmp_path: Path) -> None:
    checkpoint = store.checkpoints(trained)[-1]
    for name in ("state.safetensors", "state.json"):
        (checkpoint / name).unlink()
    model = store.load(checkpoint)
    assert model.recipe["name"] == "vae"  # type: ignore[index]
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_an_edited_recipe_is_noticed(trained: Path) -> None:
    checkpoint = store.checkpoints(trained)[-1]
    text = (checkpoint / "recipe.yaml").read_text()
    (checkpoint / "recipe.yaml").write_text(text.replace("width: 4", "width: 5"))
    with pytest.raises(CheckpointError, match=r"recipe\.yaml"):
        store.load(trained)


def test_the_manifest_lists_each_file(trained: Path) -> None:
    checkpoint = store.checkpoints(trained)[-1]
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    assert set(manifest["files"]) == set(store.FOR_TRAINING)
    assert manifest["seen"] == int(checkpoint.name)
