"""Paths and walks, in closed form where there is one."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.diffusion import paths
from triptych.diffusion.paths import cosine, exploding, linear, place, straight, walk
from triptych.errors import UsageError


def test_the_linear_table_is_the_paper_s() -> None:
    table = linear().table
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    torch.testing.assert_close(1 / (1 + table.square()), kept, rtol=1e-12, atol=0)
    assert table.dtype == torch.float64
    assert (table.diff() > 0).all()


def test_the_last_term_of_the_bound() -> None:
    """KL(q(x_T | x_0) || N(0, I)) of unit-variance data."""
    top = linear().table[-1].item()
    assert -0.5 * math.log1p(-1 / (1 + top**2)) == pytest.approx(2.018e-5, rel=2e-4)


@pytest.mark.parametrize("steps", [100, 250, 4000])
def test_another_number_of_steps_ends_as_noisy(steps: int) -> None:
    assert math.log(linear(steps).table[-1] / linear().table[-1]) == pytest.approx(0, abs=0.7)


@pytest.mark.parametrize("steps", [-1, 0, 20])
def test_too_few_steps_are_refused(steps: int) -> None:
    with pytest.raises(UsageError, match="more than 20"):
        linear(steps)


def test_a_walk_goes_down_from_the_top_to_zero() -> None:
    table = linear().table
    assert torch.equal(walk(table, 1000), torch.cat([table.flip(0), torch.zeros(1)]))
    assert torch.equal(walk(table, 1), torch.stack([table[-1], torch.zeros(())]))
    assert torch.equal(walk(table, 4), torch.cat([table[[999, 749, 499, 249]], torch.zeros(1)]))


@pytest.mark.parametrize("steps", [-1, 0, 1001])
def test_walks_that_there_are_not(steps: int) -> None:
    with pytest.raises(UsageError, match="give 1 to 1000"):
        walk(linear().table, steps)


def test_the_place_of_a_level_is_its_index() -> None:
    table = linear().table.float()
    assert torch.equal(place(table, table), torch.arange(1000.0))
    between = (table[10] + table[11]) / 2
    assert place(table, between[None]).item() == pytest.approx(10.5, abs=1e-3)
    assert place(table, torch.tensor([0.0, 1e6])).tolist() == [0, 999]


def test_the_straight_table_is_even_in_time() -> None:
    s = straight(9).table
    torch.testing.assert_close(s / (1 + s), torch.arange(1, 10).double() / 10, rtol=1e-14, atol=0)
    assert s[-1] == 9


def test_the_cosine_is_the_paper_s() -> None:
    """alpha_bar of equation 17 where no beta is cut off; the last one is, at 0.999."""
    path = cosine(1000)
    at = torch.arange(1, 1001, dtype=torch.float64)
    left = [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (0, *at.tolist())]
    bar = torch.tensor(left[1:], dtype=torch.float64) / left[0]
    torch.testing.assert_close(path.alpha(path.table)[:-1].square(), bar[:-1], rtol=1e-9, atol=0)
    assert path.alpha(path.table)[-1].square() == pytest.approx(bar[-2].item() * 1e-3)


def test_the_exploding_path_is_even_in_the_logarithm() -> None:
    table = exploding(5, 0.01, 100.0).table
    torch.testing.assert_close(table, torch.tensor([0.01, 0.1, 1, 10, 100], dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["linear", "cosine", "straight", "exploding"])
def test_alpha_gives_back_the_path(name: str) -> None:
    """alpha^2 + sigma^2 = 1, alpha + sigma = 1 or alpha = 1, to 1e-12."""
    path = getattr(paths, name)()
    assert path.table.dtype == torch.float64
    assert (path.table.diff() > 0).all()
    alpha = path.alpha(path.table)
    sigma = alpha * path.table
    whole = {"straight": alpha + sigma, "exploding": alpha}.get(name, alpha**2 + sigma**2)
    torch.testing.assert_close(whole, torch.ones_like(whole), rtol=1e-12, atol=0)


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_no_path_has_so_few_steps(steps: int) -> None:
    for make in (cosine, straight, exploding):
        with pytest.raises(UsageError, match="2 steps or more"):
            make(steps)
    with pytest.raises(UsageError, match="low < high"):
        exploding(10, 2.0, 1.0)
