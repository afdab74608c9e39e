"""Neighbours of images: planted copies come first at 0, distances are the features' own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import triptych
from pixel_latents import Linear, save
from triptych.cli import main
from triptych.errors import DataError, UsageError
from triptych.metrics.neighbours import closest
from triptych.pixels import to_float

Make = Callable[..., Any]


def images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_distances_are_those_of_the_features(metric: str, tmp_path: Path, quiet: Any) -> None:
    pixels = images(30)
    Image.fromarray(images(31)[30]).save(tmp_path / "q.png")
    Image.fromarray(pixels[4]).save(tmp_path / "copy.png")
    where, out = save(tmp_path / "x.npz", pixels, [i % 3 for i in range(30)]), tmp_path / "n.png"
    queries = [str(tmp_path / name) for name in ("q.png", "copy.png")]
    found = triptych.neighbours(Linear([0, 7, 9]), where, queries, k=4, metric=metric, out=str(out), screen=quiet)
    x = to_float(torch.from_numpy(images(31))[:, None]).flatten(1)[:, [0, 7, 9]].double()
    x, q = x[:30], x[30]
    apart = (x - q).norm(dim=1) if metric == "euclidean" else 1 - torch.cosine_similarity(x, q[None])
    near = found.found[0]
    assert near.query == "q.png"
    assert [int(one.name) for one in near.neighbours] == apart.argsort()[:4].tolist()
    assert [one.distance for one in near.neighbours] == pytest.approx(apart.sort().values[:4].tolist(), abs=1e-6)
    assert [one.label for one in near.neighbours] == [str(int(one.name) % 3) for one in near.neighbours]
    copy = found.found[1].neighbours
    assert (copy[0].name, copy[0].distance) == ("000004", 0)
    assert copy[1].distance > 0
    with Image.open(out) as picture:
        assert picture.size == (2 + 5 * 50, 2 + 2 * 50)


def test_a_copy_is_at_zero_in_a_trained_model(train_tiny: Make, tmp_path: Path, monkeypatch: Any) -> None:
    """Whatever the batch around it; the larger file is brought to the model's size."""
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data"))
    (tmp_path / "photos").mkdir()
    for index, pixels in enumerate(images(9)):
        Image.fromarray(pixels).resize((40, 30)).save(tmp_path / "photos" / f"{index}.jpg")
    run, out = train_tiny("vae", 1).run, str(tmp_path / "n.png")
    queries = [str(tmp_path / "photos" / f"{index}.jpg") for index in (5, 2)]
    found = triptych.neighbours(run, str(tmp_path / "photos"), queries, k=9, batch=4, out=out)
    for near in found.found:
        assert near.neighbours[0].name == near.query
        assert near.neighbours[0].distance == 0
        assert near.neighbours[0].label is None
        distances = [one.distance for one in near.neighbours]
        assert distances == sorted(distances)


def test_closest_by_hand() -> None:
    x = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0], [3.0, 4.0], [-1.0, 0.0]])
    apart, rows = closest(x, torch.tensor([[0.0, 0.0], [3.0, 4.0]]), 3)
    assert rows.tolist() == [[1, 4, 2], [0, 3, 2]]
    torch.testing.assert_close(apart, torch.tensor([[1.0, 1, 2], [0, 0, 13**0.5]]).double())
    apart, rows = closest(x, torch.tensor([[30.0, 40.0]]), 5, "cosine")
    assert rows.tolist() == [[0, 3, 2, 1, 4]]
    torch.testing.assert_close(apart, torch.tensor([[0, 0, 0.2, 0.4, 1.6]]).double(), atol=1e-7, rtol=0)


def test_wrong_wishes(tmp_path: Path, capsys: pytest.CaptureFixture[str], train_tiny: Make) -> None:
    pixels = images(6)
    Image.fromarray(pixels[0]).save(tmp_path / "q.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    where, query, out = save(tmp_path / "x.npz", pixels), str(tmp_path / "q.png"), str(tmp_path / "n.png")
    with pytest.raises(UsageError, match="holds 6 images"):
        triptych.neighbours(Linear(), where, [query], k=7, out=out)
    with pytest.raises(UsageError, match="did you mean 'cosine'"):
        triptych.neighbours(Linear(), where, [query], metric="cosin", out=out)
    with pytest.raises(UsageError, match=r"ends in \.png"):
        triptych.neighbours(Linear(), where, [query], out="n.gif")
    with pytest.raises(DataError, match=r"bad\.png is not used"):
        triptych.neighbours(Linear(), where, [query, str(tmp_path / "bad.png")], out=out)
    assert not Path(out).exists()
    run = train_tiny("vae", 1).run
    assert main(["neighbours", run, where, query, query, "-k", "2", "-o", out, "--json", "--quiet"]) == 0
    assert [len(near["neighbours"]) for near in json.loads(capsys.readouterr().out)["found"]] == [2, 2]
    assert triptych.neighbours(Linear(), where, query, k=1, out=out).found[0].query == "q.png"
