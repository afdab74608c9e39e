"""Tables of noise levels, in closed form where there is one."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.diffusion.levels import linear, place, straight, walk
from triptych.errors import UsageError


def test_the_linear_table_is_the_paper_s() -> None:
    table = linear()
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    torch.testing.assert_close(1 / (1 + table.square()), kept, rtol=1e-12, atol=0)
    assert table.dtype == torch.float64
    assert (table.diff() > 0).all()


def test_the_last_term_of_the_bound() -> None:
    """KL(q(x_T | x_0) || N(0, I)) of unit-variance data: truths D8."""
    top = linear()[-1].item()
    assert -0.5 * math.log1p(-1 / (1 + top**2)) == pytest.approx(2.018e-5, rel=2e-4)


@pytest.mark.parametrize("steps", [100, 250, 4000])
def test_another_number_of_steps_ends_as_noisy(steps: int) -> None:
    assert math.log(linear(steps)[-1] / linear()[-1]) == pytest.approx(0, abs=0.7)


@pytest.mark.parametrize("steps", [-1, 0, 20])
def test_too_few_steps_are_refused(steps: int) -> None:
    with pytest.raises(UsageError, match="more than 20"):
        linear(steps)


def test_a_walk_goes_down_from_the_top_to_zero() -> None:
    table = linear()
    assert torch.equal(walk(table, 1000), torch.cat([table.flip(0), torch.zeros(1)]))
    assert torch.equal(walk(table, 1), torch.stack([table[-1], torch.zeros(())]))
    assert torch.equal(walk(table, 4), torch.cat([table[[999, 749, 499, 249]], torch.zeros(1)]))


@pytest.mark.parametrize("steps", [-1, 0, 1001])
def test_walks_that_there_are_not(steps: int) -> None:
    with pytest.raises(UsageError, match="give 1 to 1000"):
        walk(linear(), steps)


def test_the_place_of_a_level_is_its_index() -> None:
    table = linear().float()
    assert torch.equal(place(table, table), torch.arange(1000.0))
    between = (table[10] + table[11]) / 2
    assert place(table, between[None]).item() == pytest.approx(10.5, abs=1e-3)
    assert place(table, torch.tensor([0.0, 1e6])).tolist() == [0, 999]


def test_the_straight_table_is_even_in_time() -> None:
    s = straight(9)
    torch.testing.assert_close(s / (1 + s), torch.arange(1, 10).double() / 10, rtol=1e-14, atol=0)
    assert s[-1] == 9
    with pytest.raises(UsageError, match="2 or more"):
        straight(1)
