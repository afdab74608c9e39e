"""The judge of equal images sees differences that are there, and none that are not."""

from __future__ import annotations

import pytest
import torch
from bench.seeds import Differences, filled, made, measured
from torch import Tensor

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Model


class Planted(Model):
    """Noise as images; in a batch that is not of 64, one value of each is another."""

    image_shape, latent_shape, classes = (1, 2, 2), (1, 2, 2), 0

    def __init__(self, wrong: float) -> None:
        super().__init__()
        self.wrong = wrong

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        x = z.clamp(-0.9, 0.9)
        x[:, 0, 0, 0] += self.wrong * (len(z) != 64)
        return x

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        return self.decode(draw.normal(*self.latent_shape))


@pytest.mark.parametrize(("wrong", "share", "most"), [(0.0, 0, 0), (2 / 255, 1 / 4, 1)])
def test_planted_differences_are_counted(wrong: float, share: float, most: int) -> None:
    plain, fixed = measured(Planted(wrong), 64, {})
    assert (plain.differing, plain.most) == (plain.values * share, most)
    assert plain.values == 13 * 64 * 4
    assert fixed.values == (1 + 2 + 3 + 4 + 7 + 8 + 15 + 16 + 31 + 32 + 33 + 48 + 63) * 4
    assert (fixed.differing, fixed.most) == (0, 0)


def test_filled_batches_hold_the_seeds_anywhere() -> None:
    truth = made(Planted(0.0), range(64), 64, {})
    for before in (0, 5, 61):
        assert torch.equal(filled(Planted(0.0), range(3), before, {}), truth[:3])


def test_differences_by_hand() -> None:
    one, other = torch.tensor([0, 255, 3], dtype=torch.uint8), torch.tensor([255, 255, 2], dtype=torch.uint8)
    assert Differences.of([(one, other)]) == (3, 2, 255)
