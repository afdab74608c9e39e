"""Runge-Kutta with steps of its own choice, on flows that are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.adaptive import ERRORS, NODES, STAGES, rk45
from triptych.errors import UsageError
from truths.exact import flowed, gaussian

LAMBDA = 0.25
Y = torch.tensor([-130.0, 20.0, 90.0], dtype=torch.float64).view(3, 1, 1, 1)
GAUSSIAN = gaussian(LAMBDA)
LEVELS = torch.tensor([80.0, 1.0, 0.002], dtype=torch.float64)


def test_the_tableau_is_consistent() -> None:
    """Each row sums to its node, the last row to 1, and the errors to 0."""
    for node, row in zip(NODES, STAGES, strict=True):
        assert math.fsum(row) == pytest.approx(node, abs=1e-14)
    assert math.fsum(ERRORS) == pytest.approx(0, abs=1e-16)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6, 1e-9])
def test_the_flow_is_followed_as_closely_as_is_asked(tolerance: float) -> None:
    """To 1e-8 with a tolerance of 1e-9 and a spread of 0.5 left."""
    found = rk45(GAUSSIAN, Y, LEVELS, Draw(()), tolerance, tolerance)
    exact = flowed(LAMBDA, 80.0, 0.002) * Y
    assert (found - exact).abs().max() < 20 * tolerance
    if tolerance == 1e-9:
        torch.testing.assert_close(found, exact, rtol=1e-8, atol=1e-8)


def test_it_runs_up_again() -> None:
    up = rk45(GAUSSIAN, rk45(GAUSSIAN, Y, LEVELS, Draw(()), 1e-9, 1e-9), LEVELS.flip(0), Draw(()), 1e-9, 1e-9)
    torch.testing.assert_close(up, Y, rtol=1e-7, atol=0)


def test_the_end_is_the_estimate_at_the_lowest_level() -> None:
    to_zero = torch.cat([LEVELS, torch.zeros(1, dtype=torch.float64)])
    found = rk45(GAUSSIAN, Y, to_zero, Draw(()))
    low = rk45(GAUSSIAN, Y, LEVELS, Draw(()))
    assert torch.equal(found, GAUSSIAN(low, torch.full((3,), 0.002, dtype=torch.float64)))


def test_no_image_s_steps_depend_on_the_others() -> None:
    def bumps(y: Tensor, s: Tensor) -> Tensor:
        variance = 0.01 + s.view(-1, 1, 1, 1) ** 2
        share = torch.sigmoid(2 * y / variance)
        return share * (1 + 0.01 / variance * (y - 1)) + (1 - share) * (-1 + 0.01 / variance * (y + 1))

    y = 80 * Draw(range(6)).normal(1, 3, 3).double()
    together = rk45(bumps, y, LEVELS, Draw(()))
    alone = torch.cat([rk45(bumps, one[None], LEVELS, Draw(())) for one in y])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("answer", [math.nan, math.inf])
def test_it_gives_up_on_nonsense(answer: float) -> None:
    """After a few dozen tries, and not after hours."""
    calls = 0

    def nonsense(y: Tensor, s: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.full_like(y, answer)

    with pytest.raises(UsageError, match="stuck at level 80"):
        rk45(nonsense, Y, LEVELS, Draw(()))
    assert 6 < calls < 200


def test_a_step_that_leads_too_far_is_taken_back() -> None:
    """Answers that are no numbers where y is out of its range, which the first step at s = 80 leaves at once."""

    def narrow(y: Tensor, s: Tensor) -> Tensor:
        near = y.abs() <= 1.001 * math.sqrt(LAMBDA + 80.0**2) / 80.0 * s.view(-1, 1, 1, 1) * 130.0 / 80.0 + 1.0
        return torch.where(near, GAUSSIAN(y, s), math.nan)

    torch.testing.assert_close(
        rk45(narrow, Y, LEVELS, Draw(())), rk45(GAUSSIAN, Y, LEVELS, Draw(())), rtol=0, atol=1e-3
    )
