"""The attack against scikit-learn's ROC curve, on losses that tell and on losses that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, roc_curve

from blobs import blobs, source
from triptych.core import Batch, Encodes
from triptych.leaks.membership import auc, found_at, loss_of, membership
from triptych.pixels import to_float
from triptych.store import load


@pytest.mark.parametrize("decimals", [0, 3])
def test_the_curve_is_that_of_scikit_learn(decimals: int) -> None:
    draw = np.random.default_rng(0)
    members, others = draw.normal(0.5, 1, 500).round(decimals), draw.normal(0, 1, 400).round(decimals)
    truth, scores = np.r_[np.ones(500), np.zeros(400)], np.r_[members, others]
    assert auc(members, others) == pytest.approx(roc_auc_score(truth, scores))
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    for rate in (0.0, 0.001, 0.01, 0.1):
        assert found_at(members, others, rate) == pytest.approx(true[false <= rate].max())


def mean_level(batch: Batch) -> torch.Tensor:
    return batch.images.mean((1, 2, 3))


def test_a_loss_that_tells_everything() -> None:
    dark, light = (blobs(300) // 2), 128 + blobs(300, seed=1) // 2
    found = membership("the mean", mean_level, source(dark), source(light))
    assert (found.members, found.others) == (300, 300)
    assert found.auc.value > 0.99
    assert found.at_rates["0.01"].value > 0.5
    assert found.at_rates["0.001"].low <= found.at_rates["0.001"].value <= found.at_rates["0.001"].high


def test_a_loss_that_tells_nothing() -> None:
    found = membership("the mean", mean_level, source(blobs(400)), source(blobs(400, seed=1)))
    assert found.auc.low < 0.5 < found.auc.high
    assert found.at_rates["0.01"].value < 0.05


@pytest.mark.parametrize("name", ["mlp-gan", "vae", "ddpm"])
def test_every_family_has_a_loss(name: str, tmp_path: Path, train_tiny: Any) -> None:
    """From the run's folder: one number for each image, the same twice, and different for different images."""
    train_tiny(name, 3)
    model = load(tmp_path / "run")
    known = loss_of(model, tmp_path / "run")
    assert known is not None
    labels = {"labels": torch.arange(6)} if "conditional" in model.recipe["about"]["can"] else {}
    batch = Batch(to_float(blobs(6, side=8)), labels)
    first, again = known[1](batch), known[1](batch)
    assert first.shape == (6,)
    assert torch.equal(first, again)
    assert len(first.unique()) == 6


def test_no_loss_without_a_run(tmp_path: Path, train_tiny: Any) -> None:
    train_tiny("mlp-gan", 2)
    model = load(tmp_path / "run")
    assert not isinstance(model, Encodes)
    assert loss_of(model) is None
