"""Stacked digits: the numbers that a classifier reads, and how they are counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from bench.stacked import MODES, Stacked, build, numbers, spread, table

from triptych.core import Model
from triptych.data import open_data


@pytest.mark.parametrize("kept", [1, 10, 400, 1000])
def test_planted_modes_are_counted(kept: int) -> None:
    """Uniform over k of 1,000 modes: KL = log(1000 / k)."""
    found = spread(np.repeat(np.arange(MODES)[::-1][:kept], 26))
    assert found["modes"] == kept
    assert found["kl"] == pytest.approx(math.log(MODES / kept), abs=1e-12)


def test_uneven_modes_by_hand() -> None:
    found = spread(np.array([7] * 3 + [999]))
    assert found["modes"] == 2
    assert found["kl"] == pytest.approx(0.75 * math.log(750) + 0.25 * math.log(250), abs=1e-12)


def test_the_classifier_reads_real_digits() -> None:
    """In the order of the channels; nearly all, for it was trained on three of four of them."""
    real = open_data("digits").train.read(range(600))
    images = real.images[:, 0].unflatten(0, (200, 3)).numpy()
    labels = real.given["labels"].unflatten(0, (200, 3)).numpy()
    expected = labels @ np.array([100, 10, 1])
    assert (numbers(images) == expected).mean() > 0.95
    assert np.array_equal(numbers(images[:, ::-1]) // 100, numbers(images) % 10)


def test_batches_follow_from_the_images_seen() -> None:
    one, two, other = Stacked(0, 50), Stacked(0, 50), Stacked(1, 50)
    assert torch.equal(one.batch(100).images, two.batch(100).images)
    assert not torch.equal(one.batch(100).images, one.batch(150).images)
    assert not torch.equal(one.batch(100).images, other.batch(100).images)
    images = one.batch(0).images
    assert images.shape == (50, 3, 8, 8)
    assert -1 <= images.min() < images.max() <= 1
    channels = one.drawn(0)
    assert not torch.equal(channels[:, 0], channels[:, 1])  # drawn apart


@pytest.mark.parametrize("name", ["dcgan", "r3gan"])
def test_players_come_from_the_recipes(name: str) -> None:
    cast, size = build(name, 0)
    assert isinstance(cast.model, Model)
    assert cast.model.image_shape == (3, 8, 8)
    assert set(cast.optimisers) == {turn.name for turn in cast.objective.turns(cast.model)}
    assert size > 1
    row = {"model": name, "seed": 0, "modes": 12, "kl": 3.5, "images": 1000, "seconds": 1.0}
    assert "3.500" in table([row])
