"""The damage to planted copies is what it says, and no more."""

from __future__ import annotations

import torch

from blobs import blobs
from triptych.leaks.nearest import levels, worst_patch
from triptych.leaks.planted import planted


def test_planted_copies_are_damaged_but_near() -> None:
    real = blobs(40, channels=3, side=32)
    made = planted(real)
    assert made.shape == real.shape
    assert made.dtype == torch.uint8
    distances = torch.stack([worst_patch(a, b[None])[0] for a, b in zip(levels(made), levels(real), strict=True)])
    assert 0.5 < float(distances.min())
    assert float(distances.max()) < 15


def test_some_are_mirrored_and_some_not() -> None:
    real = blobs(60, channels=1, side=32)
    made, ramp = planted(real).float(), real.float()
    straight = (made - ramp).square().mean((1, 2, 3)) < (made - ramp.flip(-1)).square().mean((1, 2, 3))
    assert 10 < int(straight.sum()) < 50


def test_the_seed_decides() -> None:
    real = blobs(5, channels=4, side=16)
    assert torch.equal(planted(real, 1), planted(real, 1))
    assert not torch.equal(planted(real, 1), planted(real, 2))


def test_thin_images_are_not_moved_across() -> None:
    assert planted(blobs(3, side=16)[:, :, :1]).shape == (3, 1, 1, 16)
