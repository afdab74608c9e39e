"""Features as arrays and tables: the same whatever the batch, with names and classes, and no label in them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import triptych
from pixel_latents import Linear, save
from triptych import features
from triptych.cli import main
from triptych.errors import ResourceError, UsageError
from triptych.pixels import to_float

Make = Callable[..., Any]
needs_arrow = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pip install 'triptych[data]'")


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 4, 4), dtype=np.uint8)


def test_features_are_the_models_own_in_order(tmp_path: Path) -> None:
    """A model that is told the labels fails its own assertion."""
    pixels = images(7)
    where, told = save(tmp_path / "x.npz", pixels, [0, 1, 0, 1, 0, 1, 1]), list[float]()
    seer = features.encoder(Linear([3, 5]))
    source = seer.data(where, lambda sentence: None).everything
    found = features.features(seer, source, 3, progress=told.append)
    wanted = to_float(torch.from_numpy(pixels)[:, None]).flatten(1)[:, [3, 5]]
    assert torch.equal(found, wanted)
    assert told == [3, 6, 7]


def test_draws_follow_their_seeds_and_the_model_is_left_as_it_was(tmp_path: Path) -> None:
    model = Linear().train()
    seer = features.encoder(model)
    source = seer.data(save(tmp_path / "x.npz", images(5)), lambda sentence: None).everything
    together, apart = (features.features(seer, source, size, first=7) for size in (5, 2))
    assert torch.equal(together, apart)
    assert not torch.equal(together, features.features(seer, source, first=8))
    assert model.training


def test_an_array_holds_all_that_is_known(tmp_path: Path) -> None:
    where, out = save(tmp_path / "x.npz", images(5), [2, 0, 1, 1, 2]), tmp_path / "new" / "f.npz"
    found = triptych.encode(Linear(), where, out=str(out))
    with np.load(out) as arrays:
        assert set(arrays) == {"features", "names", "labels", "class_names"}
        assert np.array_equal(arrays["features"], found.features)
        assert arrays["names"].tolist() == found.names.tolist()
        assert arrays["class_names"][arrays["labels"]].tolist() == ["2", "0", "1", "1", "2"]
    triptych.encode(Linear(), save(tmp_path / "y.npz", images(5)), out=str(out))
    with np.load(out) as arrays:
        assert set(arrays) == {"features", "names"}


@needs_arrow
def test_a_table_holds_the_same(train_tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pyarrow import parquet

    run, out = train_tiny("vae", 2).run, tmp_path / "f.parquet"
    assert main(["encode", run, "digits", "-o", str(out), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["class_names"] == list("0123456789")
    table, wanted = parquet.read_table(out), triptych.encode(run, "digits")
    assert table.column_names == ["features", "names", "labels", "classes"]
    assert str(table.schema.field("features").type).startswith("fixed_size_list")
    assert np.array_equal(np.stack(table["features"].to_numpy()), wanted.features)
    assert table["names"].to_pylist() == wanted.names.tolist()
    assert table["labels"].to_pylist() == wanted.labels.tolist()
    assert table["classes"].to_pylist() == [str(label) for label in wanted.labels]


@needs_arrow
def test_names_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    from pyarrow import parquet

    features.write(tmp_path / "f.parquet", np.zeros((2, 3), np.float32), np.array(["a\udcff", "b"]))
    table = parquet.read_table(tmp_path / "f.parquet")
    assert table["names"].to_pylist() == ["a\\udcff", "b"]
    assert table.column_names == ["features", "names"]


def test_a_table_without_its_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ResourceError, match=r"\.parquet file needs the package pyarrow.*triptych\[data\]"):
        triptych.encode(Linear(), "digits", out="f.parquet")
    with pytest.raises(UsageError, match=r"\.npz or \.parquet"):
        triptych.encode(Linear(), "digits", out="f.csv")


def test_what_does_not_encode_is_told_which_do(train_tiny: Make) -> None:
    run = train_tiny("dcgan", 1).run
    for command in (["encode", run, "digits"], ["probe", run], ["neighbours", run, "digits", "x.png"]):
        assert main([*command, "--quiet"]) == 2
    with pytest.raises(UsageError, match=r"does not encode; train one that does \(.*vae.*--critic"):
        features.encoder(run)
    assert triptych.encode(run, torch.zeros(2, 1, 8, 8, dtype=torch.uint8), critic=True).features.shape[0] == 2
    with pytest.raises(UsageError, match="DATA is missing"):
        features.encoder(Linear()).data(None, lambda sentence: None)
