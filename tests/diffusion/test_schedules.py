"""Schedules: their formulas, and fitted levels where the best ones are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.samplers import ddim
from triptych.diffusion.schedules import fitted, karras, log_snr
from triptych.errors import UsageError

TABLE = torch.tensor([0.01, 20.0], dtype=torch.float64)
LAMBDA = 0.25
Y = 20 * Draw(range(8)).normal(1, 2, 2).double()


def gaussian(y: Tensor, s: Tensor) -> Tensor:
    return LAMBDA / (LAMBDA + s.view(-1, 1, 1, 1) ** 2) * y


GOAL = math.sqrt(LAMBDA / (LAMBDA + 20.0**2)) * Y  # the exact flow


def test_log_snr_is_even_in_the_logarithm() -> None:
    down = log_snr(TABLE, 6)
    torch.testing.assert_close(down[:-1].log().diff(), torch.full((5,), math.log(0.01 / 20.0) / 5).double())
    assert down[0].item() == pytest.approx(20.0)
    assert down[-1] == 0


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
def test_karras_is_even_in_a_root(rho: float) -> None:
    roots = karras(TABLE, 6, rho)[:-1] ** (1 / rho)
    torch.testing.assert_close(roots.diff(), torch.full((5,), float(roots[-1] - roots[0]) / 5).double())


@pytest.mark.parametrize("schedule", [karras, log_snr])
def test_no_steps_are_no_schedule(schedule: object) -> None:
    assert schedule(TABLE, 1).tolist() == pytest.approx([20.0, 0.0])  # type: ignore[operator]
    with pytest.raises(UsageError, match="give 1 or more"):
        schedule(TABLE, 0)  # type: ignore[operator]


def test_one_level_is_put_where_it_is_best() -> None:
    """Two Euler steps from s over t to 0 make of a Gaussian (L + s t) L / ((L + s^2) (L + t^2)) of it.

    That is nearest to the flow's sqrt(L / (L + s^2)) where it is largest: t = (sqrt(L^2 + L s^2) - L) / s.
    """
    best = (math.sqrt(LAMBDA**2 + LAMBDA * 20.0**2) - LAMBDA) / 20.0

    def end(levels: Tensor) -> Tensor:
        return ddim(gaussian, Y, levels, Draw(()))

    found, error = fitted(end, log_snr(TABLE, 2), GOAL, 0.01)
    ideal = torch.tensor([20.0, best, 0.0], dtype=torch.float64)
    least = float((end(ideal) - GOAL).square().mean().sqrt())
    assert least <= error < 1.02 * least
    assert found[1].item() == pytest.approx(best, rel=0.2)  # flat there: 0.2 of it are 0.02 of the error


@pytest.mark.parametrize("steps", [2, 5, 9])
def test_levels_that_are_tried_stay_in_order_and_in_range(steps: int) -> None:
    tried: list[Tensor] = []

    def end(levels: Tensor) -> Tensor:
        tried.append(levels)
        return ddim(gaussian, Y, levels, Draw(()))

    found, error = fitted(end, karras(TABLE, steps), GOAL, 0.01)
    assert all(bool((levels.diff() < 0).all()) for levels in tried)
    assert all(levels[0] == tried[0][0] and levels[-1] == 0 and levels[-2] >= 0.01 - 1e-12 for levels in tried)
    assert len(tried) < 60 * steps
    again, same = fitted(end, karras(TABLE, steps), GOAL, 0.01)
    assert torch.equal(found, again)
    assert error == same
