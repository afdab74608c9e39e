"""The detector on data of which the truth is known, and on real digits."""

from __future__ import annotations

import pytest
import torch

from blobs import AVERAGES, blobs, source
from triptych.data import open_data
from triptych.errors import DataError
from triptych.leaks.detector import CALIBRATE, PLANTED, TWIN, Detector
from triptych.leaks.threshold import RATE

TRAIN = blobs(1100)
HELD_OUT = blobs(300, seed=1)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(source(TRAIN), source(HELD_OUT), AVERAGES)


def test_controls(detector: Detector) -> None:
    controls, limits = detector.controls, detector.limits
    assert controls.planted_found == controls.planted == PLANTED
    assert controls.held_out == 300
    assert controls.held_out_flagged <= RATE * controls.held_out
    assert limits.set_on == CALIBRATE
    assert limits.features is not None


def test_copies_are_flagged_and_fresh_images_are_not(detector: Detector) -> None:
    copies, fresh = detector.see(TRAIN[:50].flip(-1)), detector.see(blobs(400, seed=2))
    assert bool(detector.flagged(copies).all())
    assert detector.source_of(copies).tolist() == list(range(50))
    assert int(detector.flagged(fresh).sum()) <= 8  # twice what is promised


def test_digits() -> None:
    """Real digits, 8x8: all planted copies are found, and at most 1% of the held-out ones are flagged."""
    splits = open_data("digits", note=lambda text: None)
    controls = Detector(splits.train, splits.validation, AVERAGES).controls
    assert controls.planted_found == controls.planted
    assert controls.held_out_flagged <= RATE * controls.held_out


def test_held_out_repeats_are_set_aside_and_counted() -> None:
    """A mirrored copy on the other side of the split is no false alarm."""
    held_out = torch.cat([HELD_OUT[:100], TRAIN[:12].flip(-1)])
    controls = Detector(source(TRAIN), source(held_out), AVERAGES).controls
    assert (controls.aside, controls.looked_at, controls.held_out) == (12, 112, 100)
    assert controls.held_out_flagged <= 1


def test_repeats_in_the_training_set_are_counted() -> None:
    train = torch.cat([TRAIN[:300], TRAIN[:7], TRAIN[7:12].flip(-1)])
    twins = Detector(source(train), source(HELD_OUT), AVERAGES).duplicates
    assert (twins.images, twins.exact) == (312, 7)
    assert (twins.sampled, twins.near) == (312, 24)


def test_too_few_images_for_a_promise() -> None:
    limits = Detector(source(TRAIN[:40]), source(HELD_OUT[:5]), AVERAGES).limits
    assert (limits.pixels, limits.features) == (TWIN, None)
    assert "too few" in limits.promise


@pytest.mark.parametrize(("train", "held_out"), [(1, 5), (5, 0)])
def test_nothing_to_search(train: int, held_out: int) -> None:
    with pytest.raises(DataError, match="needs 2 and 1"):
        Detector(source(TRAIN[:train]), source(HELD_OUT[:held_out]), AVERAGES)
