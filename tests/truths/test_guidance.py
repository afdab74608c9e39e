"""Guidance on Gaussian classes, whose guided flow is known in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.chance import Draw
from triptych.diffusion.adaptive import rk45
from triptych.diffusion.guidance import guided, within
from truths.exact import gaussian, guided_factor

Y = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
S = torch.full((6,), 0.7, dtype=torch.float64)


def test_scales_one_and_zero_are_the_plain_calls() -> None:
    strong, weak = gaussian(0.3, 1.0), gaussian(0.4, -0.5)
    assert guided(strong, (weak, 1.0)) is strong
    assert guided(strong, (weak, 0.0)) is weak
    assert guided(strong) is strong


@pytest.mark.parametrize("scale", [0.5, 1.5, 4.0])
def test_equal_variances_move_the_mean_alone(scale: float) -> None:
    """The result is the denoiser of N(w m_c + (1 - w) m_u, l), to 1e-12."""
    answer = guided(gaussian(0.3, 1.0), (gaussian(0.3, -0.5), scale))
    whole = gaussian(0.3, scale * 1.0 + (1 - scale) * -0.5)
    torch.testing.assert_close(answer(Y, S), whole(Y, S), rtol=1e-12, atol=1e-12)


def test_unequal_variances_by_the_exact_flow() -> None:
    """From S to t the flow multiplies by ((c + t^2) / (c + S^2))^(w/2) ((u + t^2) / (u + S^2))^((1-w)/2), to 1e-9."""
    w, c, u, top, low = 2.0, 0.3, 0.5, 3.0, 0.01
    levels = torch.tensor([top, low], dtype=torch.float64)
    end = rk45(guided(gaussian(c, 0.0), (gaussian(u, 0.0), w)), Y[:1], levels, Draw(()), 1e-12, 1e-12)
    factor = guided_factor(w, c, u, top, low)
    torch.testing.assert_close(end, factor * Y[:1], rtol=1e-9, atol=0)


def test_several_guidances_add_up() -> None:
    strong, first, second = gaussian(0.3, 1.0), gaussian(0.4, 0.0), gaussian(0.9, 0.5)
    answer = guided(strong, (first, 1.5), (second, 3.0), (second, 1.0))(Y, S)
    d, one, two = (f(Y, S) for f in (strong, first, second))
    torch.testing.assert_close(answer, d + 0.5 * (d - one) + 2 * (d - two), rtol=1e-12, atol=1e-12)


def test_an_interval_leaves_all_else_alone() -> None:
    inside, outside = gaussian(0.3, 1.0), gaussian(0.4, 0.0)
    either = within(inside, outside, 0.5, 2.0)
    for level, expected in ((0.5, inside), (2.0, inside), (0.49, outside), (2.1, outside), (math.inf, outside)):
        s = torch.full((6,), level, dtype=torch.float64)
        assert torch.equal(either(Y, s), expected(Y, s))
    mixed = torch.tensor([0.1, 1.0, 3.0, 0.6, 2.0, 9.0], dtype=torch.float64)
    which = torch.tensor([False, True, False, True, True, False]).view(-1, 1, 1, 1)
    assert torch.equal(either(Y, mixed), torch.where(which, inside(Y, mixed), outside(Y, mixed)))
