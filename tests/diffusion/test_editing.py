"""Editing on Gaussian images, where what fits is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.editing import inpainted, varied
from triptych.diffusion.samplers import ddim
from triptych.diffusion.schedules import karras

MEAN = torch.tensor([0.5, -0.3], dtype=torch.float64)
COV = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
LEVELS = karras(torch.tensor([0.01, 20.0], dtype=torch.float64), 60)


def pair(y: Tensor, s: Tensor) -> Tensor:
    """The denoiser of N(MEAN, COV), an image of one row of two pixels."""
    away = y.flatten(1) - MEAN
    total = COV + s[0] ** 2 * torch.eye(2, dtype=torch.float64)
    return (MEAN + away @ torch.linalg.solve(total, COV)).view_as(y)


class Many(Draw):
    """Noise for many images at once, of one generator."""

    def __init__(self, images: int) -> None:
        super().__init__(())
        self._parts = [(images, torch.Generator().manual_seed(0))]


def test_new_pixels_come_from_the_conditional_gaussian() -> None:
    """x2 given x1 is N(m2 + .8 (x1 - m1), .36); with 20 jumps the mean is within 0.04 and the variance within 0.06."""
    images, first = 8000, 1.7
    x = torch.tensor([first, 9.0], dtype=torch.float64).view(1, 1, 1, 2).expand(images, 1, 1, 2)
    new = torch.tensor([False, True]).view(1, 1, 1, 2)
    made = inpainted(pair, x, new, LEVELS, Many(images), jumps=20)
    assert torch.equal(made[..., 0], x[..., 0])  # to the bit
    found = made[:, 0, 0, 1]
    error = 5 * math.sqrt(0.36 / images)
    assert found.mean().item() == pytest.approx(-0.3 + 0.8 * (first - 0.5), abs=0.04 + error)
    assert found.var().item() == pytest.approx(0.36, abs=0.06 + 5 * 0.36 * math.sqrt(2 / images))


def test_jumps_are_what_makes_it_fit() -> None:
    x = torch.tensor([1.7, 9.0], dtype=torch.float64).view(1, 1, 1, 2).expand(4000, 1, 1, 2)
    new = torch.tensor([False, True]).view(1, 1, 1, 2)

    def off(jumps: int) -> float:
        return abs(float(inpainted(pair, x, new, LEVELS, Many(4000), jumps)[..., 1].mean()) - 0.66)

    assert off(10) < off(3) < off(1)


def test_nothing_and_all_of_an_image() -> None:
    x = torch.tensor([1.7, 0.2], dtype=torch.float64).view(1, 1, 1, 2).expand(3000, 1, 1, 2)
    assert torch.equal(inpainted(pair, x, torch.zeros(1, 1, 1, 2, dtype=torch.bool), LEVELS, Many(3000)), x)
    made = inpainted(pair, x, torch.ones(1, 1, 1, 2, dtype=torch.bool), LEVELS, Many(3000), jumps=1).flatten(1)
    torch.testing.assert_close(made.mean(0), MEAN, rtol=0, atol=0.1)
    torch.testing.assert_close(torch.cov(made.T), COV, rtol=0, atol=0.12)


def test_the_strength_is_a_share_of_the_walk() -> None:
    """SDEdit on a Gaussian: x noised to the level of half the steps, then a linear map with a known factor."""

    def one(y: Tensor, s: Tensor) -> Tensor:
        return 0.25 / (0.25 + s.view(-1, 1, 1, 1) ** 2) * y

    x, half = torch.full((2, 1, 1, 1), 0.7, dtype=torch.float64), LEVELS[30:]
    made = varied(ddim, one, x, LEVELS, 0.5, Draw([3, 4]))
    noised = x + half[0] * Draw([3, 4]).normal(1, 1, 1).double()
    torch.testing.assert_close(made, ddim(one, noised, half, Draw(())), rtol=1e-12, atol=0)
    assert varied(ddim, one, x, LEVELS, 0.0, Draw(())) is x
    weak, strong = (float((varied(ddim, one, x, LEVELS, share, Draw([3, 4])) - x).abs().max()) for share in (0.2, 0.9))
    assert weak < strong
