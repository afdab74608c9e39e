"""The probe on features of known worth: separate classes, coin flips, and data that cannot be probed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import triptych
from pixel_latents import Linear, save
from triptych.cli import main
from triptych.errors import DataError
from triptych.metrics.estimate import share
from triptych.metrics.probe import neighbour_guesses, principal

Make = Callable[..., Any]
N = 400


def chance() -> np.random.Generator:
    return np.random.default_rng(0)


def noise(n: int = N) -> np.ndarray:
    return chance().integers(0, 256, (n, 4, 4), dtype=np.uint8)


def test_separate_classes_are_all_right_and_coin_flips_half(tmp_path: Path, quiet: Any) -> None:
    """Pixel 0 is the class and the others are noise: a model that sees it is always right, one that does not
    is right like a coin; the intervals are those of the counts."""
    images, labels = noise(), chance().integers(0, 2, N)
    images[:, 0, 0] = 255 * labels
    where = save(tmp_path / "x.npz", images, labels.tolist())
    sees = triptych.probe(Linear([0]), where, screen=quiet)
    model, pixels, pca = sees.rows
    assert model.linear == model.neighbours == share(sees.held_out, sees.held_out)
    assert (model.features, pixels.features, pca.features) == (1, 16, 1)
    assert sees.taught + sees.held_out == N
    blind = triptych.probe(Linear([5, 6]), where, screen=quiet).rows[0]
    for accuracy in (blind.linear, blind.neighbours):
        assert accuracy.low < 0.5 < accuracy.high
        assert accuracy.value < 0.8
    assert 0.3 < sees.largest_class.value < 0.7


def test_the_largest_class_is_that_of_the_training_images(tmp_path: Path, quiet: Any) -> None:
    labels = (np.arange(N) % 4 == 0).astype(int)
    found = triptych.probe(Linear([0]), save(tmp_path / "x.npz", noise(), labels.tolist()), screen=quiet)
    held_out = triptych.open_data(tmp_path / "x.npz", note=lambda sentence: None).validation.labels
    assert found.largest_class.value == np.mean(held_out == 0)
    few = triptych.probe(Linear([0]), str(tmp_path / "x.npz"), n=20, screen=quiet)
    assert (few.taught, few.held_out) == (20, 20)


def test_the_command_on_a_trained_model(train_tiny: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run = train_tiny("vae", 60).run
    assert main(["probe", run, "-n", "600", "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [row["name"] for row in found["rows"]] == ["encoded", "pixels", "PCA of pixels"]
    assert found["rows"][0]["features"] == found["rows"][2]["features"] == 4
    assert found["rows"][1]["linear"]["value"] > 0.9
    assert found["rows"][0]["linear"]["low"] > found["largest_class"]["high"]
    assert "largest class" in said.err
    assert max(len(line) for line in said.err.splitlines()[-5:]) <= 80


def test_a_critic_is_probed(train_tiny: Make, quiet: Any) -> None:
    found = triptych.probe(train_tiny("dcgan", 20).run, "digits", n=300, critic=True, screen=quiet)
    assert found.rows[0].linear.low > found.largest_class.high


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (None, "has no classes"),
        ([0] * 40, "of one class"),
        ([0] * 20 + [1] * 19 + [2], "single image of class '2'"),
        ([*range(20), *range(20, 40)], "single image of class '0', '1', '2', '3' and '4' and others"),
    ],
)
def test_data_that_cannot_be_probed(labels: list[int] | None, sentence: str, tmp_path: Path, quiet: Any) -> None:
    with pytest.raises(DataError, match=sentence):
        triptych.probe(Linear(), save(tmp_path / "x.npz", noise(40), labels), screen=quiet)


def test_equal_images_cannot_be_held_out(tmp_path: Path, quiet: Any) -> None:
    where = save(tmp_path / "x.npz", np.zeros((12, 4, 4), np.uint8), [0, 1] * 6)
    with pytest.raises(DataError, match="none can be held out"):
        triptych.probe(Linear(), where, screen=quiet)


def test_five_neighbours_vote() -> None:
    """Two rows of class 1 are nearest to 0, but three of class 0 are among the five; of -9 all five are 7."""
    x = torch.tensor([0.0, 0.1, 0.3, 0.4, 0.5, 9.0, -8.0, -9.0, -9.1, -9.2, -9.3])[:, None]
    labels = torch.tensor([1, 1, 0, 0, 0, 1, 7, 7, 7, 7, 7])
    assert neighbour_guesses(x, labels, torch.tensor([[0.0], [-9.0]])).tolist() == [0, 7]
    with pytest.raises(DataError, match="there are 4"):
        neighbour_guesses(x[:4], labels[:4], x)


def test_principal_components_are_those_of_the_training_rows() -> None:
    """Variances 9, 4 and 1 along the axes: the components are the axes, about the training mean."""
    x = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]]) + 5
    seen, tested = principal(x, torch.tensor([[6.0, 7, 5]]), 2)
    torch.testing.assert_close(seen.abs(), (x - 5)[:, :2].abs().double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(tested.abs(), torch.tensor([[1.0, 2.0]]).double(), atol=1e-6, rtol=0)
    assert principal(x, x, 99)[0].shape == (6, 3)


def test_a_share_has_its_exact_interval() -> None:
    """None of n: the bound is 1 - 0.025^(1/n)."""
    assert share(0, 50) == pytest.approx((0, 0, 1 - 0.025 ** (1 / 50)))
    assert share(50, 50) == pytest.approx((1, 0.025 ** (1 / 50), 1))
