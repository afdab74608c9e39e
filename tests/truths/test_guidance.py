"""Guidance on Gaussian classes, whose guided flow is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.guidance import guided, within
from triptych.diffusion.samplers import Denoiser, ddim


def gaussian(mean: float, variance: float) -> Denoiser:
    def denoise(y: Tensor, s: Tensor) -> Tensor:
        s = s.view(-1, 1, 1, 1)
        return mean + variance / (variance + s * s) * (y - mean)

    return denoise


Y = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
S = torch.full((6,), 0.7, dtype=torch.float64)


def test_scales_one_and_zero_are_the_plain_calls() -> None:
    strong, weak = gaussian(1.0, 0.3), gaussian(-0.5, 0.4)
    assert guided(strong, (weak, 1.0)) is strong
    assert guided(strong, (weak, 0.0)) is weak
    assert guided(strong) is strong


@pytest.mark.parametrize("scale", [0.5, 1.5, 4.0])
def test_equal_variances_move_the_mean_alone(scale: float) -> None:
    """The result is the denoiser of N(w m_c + (1 - w) m_u, l), to 1e-12."""
    answer = guided(gaussian(1.0, 0.3), (gaussian(-0.5, 0.3), scale))
    whole = gaussian(scale * 1.0 + (1 - scale) * -0.5, 0.3)
    torch.testing.assert_close(answer(Y, S), whole(Y, S), rtol=1e-12, atol=1e-12)


def test_unequal_variances_by_the_exact_flow() -> None:
    """From level S to 0 the flow multiplies by (l_c / (l_c + S^2))^(w/2) (l_u / (l_u + S^2))^((1-w)/2)."""
    w, c, u, top = 2.0, 0.3, 0.5, 3.0
    levels = torch.cat([torch.linspace(top, 0, 20_001, dtype=torch.float64)])
    end = ddim(guided(gaussian(0.0, c), (gaussian(0.0, u), w)), Y[:1], levels, Draw(()))
    factor = (c / (c + top**2)) ** (w / 2) * (u / (u + top**2)) ** ((1 - w) / 2)
    torch.testing.assert_close(end, factor * Y[:1], rtol=1e-3, atol=0)


def test_several_guidances_add_up() -> None:
    strong, first, second = gaussian(1.0, 0.3), gaussian(0.0, 0.4), gaussian(0.5, 0.9)
    answer = guided(strong, (first, 1.5), (second, 3.0), (second, 1.0))(Y, S)
    d, one, two = (f(Y, S) for f in (strong, first, second))
    torch.testing.assert_close(answer, d + 0.5 * (d - one) + 2 * (d - two), rtol=1e-12, atol=1e-12)


def test_an_interval_leaves_all_else_alone() -> None:
    inside, outside = gaussian(1.0, 0.3), gaussian(0.0, 0.4)
    either = within(inside, outside, 0.5, 2.0)
    for level, expected in ((0.5, inside), (2.0, inside), (0.49, outside), (2.1, outside), (math.inf, outside)):
        s = torch.full((6,), level, dtype=torch.float64)
        assert torch.equal(either(Y, s), expected(Y, s))
    mixed = torch.tensor([0.1, 1.0, 3.0, 0.6, 2.0, 9.0], dtype=torch.float64)
    which = torch.tensor([False, True, False, True, True, False]).view(-1, 1, 1, 1)
    assert torch.equal(either(Y, mixed), torch.where(which, inside(Y, mixed), outside(Y, mixed)))
