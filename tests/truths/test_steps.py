"""Samplers on Gaussian data, whose denoiser is known: the exact result of a finite number of steps.

For x ~ N(0, L) the denoiser is D(y, s) = L / (L + s^2) y, so every sampler is a linear map of the
first noise and of each draw. A batch of unit impulses, one for each draw, reads the map off.
"""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from triptych.chance import Draw
from triptych.diffusion.paths import linear, walk
from triptych.diffusion.samplers import Variance, ancestral, ddim, heun, large, small
from triptych.diffusion.schedules import karras
from triptych.diffusion.walks import SAMPLERS
from truths.exact import STILL, Impulses, gaussian, variance_of
from truths.steps import EDM, FINE, LAMBDA, START, STEPS, levels_of


@pytest.mark.parametrize("levels", [karras(EDM, 18), walk(linear().table, 37), karras(EDM, 1)], ids=["18", "37", "1"])
@pytest.mark.parametrize("name", STEPS)
def test_a_finite_number_of_steps_is_known_exactly(name: str, levels: torch.Tensor) -> None:
    """To 1e-12, for every sampler that has a name, on levels that are even in nothing."""
    levels = FINE if name == "rk45" else levels
    exact = STEPS[name].law(levels.tolist(), LAMBDA, START)
    assert STEPS[name].variance(levels) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", STEPS)
def test_golden_numbers_are_free_of_hardware(name: str) -> None:
    """Those of all steps by their laws; to 1e-12."""
    assert (STEPS[name].variance(levels_of(name)) / LAMBDA) ** 0.5 == pytest.approx(STEPS[name].golden, abs=1e-12)


def test_no_sampler_is_without_a_law() -> None:
    assert set(SAMPLERS) <= set(STEPS)


@pytest.mark.parametrize("steps", [1, 5, 50])
def test_even_angles_lose_a_cosine_a_step(steps: int) -> None:
    """Unit variance, x_t = cos(a) x + sin(a) n: the spread is cos(top / N)^N."""
    top = math.pi / 2 - 1e-8
    levels = torch.linspace(top, 0, steps + 1, dtype=torch.float64).tan()
    spread = variance_of(ddim, levels, 1 + float(levels[0]) ** 2, gaussian(1.0)) ** 0.5
    assert spread == pytest.approx(math.cos(top / steps) ** steps, rel=1e-12)
    if steps == 50:
        assert spread == pytest.approx(0.9756239, abs=6e-8)


@pytest.mark.parametrize(("rule", "exact"), [(small, 0.9845008), (large, 1.0030083)])
def test_a_thousand_ancestral_steps(rule: Variance, exact: float) -> None:
    """The variance of samples over the data's, with each of the paper's two variances."""
    levels = walk(linear().table, 1000)
    found = variance_of(partial(ancestral, variance=rule), levels, 1 + float(levels[0]) ** 2, gaussian(LAMBDA))
    assert found / LAMBDA == pytest.approx(exact, abs=6e-8)


def test_the_best_variance_is_exact() -> None:
    """With the posterior's whole variance, each step lands on the true marginal."""

    def best(s: float, t: float) -> float:
        return small(s, t) + (1 - t * t / (s * s)) ** 2 * LAMBDA * s * s / (LAMBDA + s * s)

    levels = walk(linear().table, 100)[:-1]
    found = variance_of(partial(ancestral, variance=best), levels, LAMBDA + float(levels[0]) ** 2, gaussian(LAMBDA))
    assert found == pytest.approx(LAMBDA + float(levels[-1]) ** 2, rel=1e-12)


def in_x(alphas_bar: tuple[float, float], x_t: float, clean: float) -> tuple[float, float, float]:
    """Equation 7 of Ho et al. (2020) as it is printed: mean, small and large variance of x_s given x_t."""
    bar, before = alphas_bar
    alpha = bar / before
    mean = (before**0.5 * (1 - alpha) * clean + alpha**0.5 * (1 - before) * x_t) / (1 - bar)
    return mean, (1 - before) / (1 - bar) * (1 - alpha), 1 - alpha


@pytest.mark.parametrize("step", [1, 10, 500, 999])
def test_one_ancestral_step_is_the_paper_s(step: int) -> None:
    s, t = linear().table[[step, step - 1]].tolist()
    bars = 1 / (1 + s * s), 1 / (1 + t * t)
    y, clean = 0.7, -0.4
    mean, least, most = in_x(bars, y * bars[0] ** 0.5, clean)
    still = Impulses(1)
    still.only = lambda image, shape=(1, 1, 1): torch.zeros(2, *shape, dtype=torch.float64)  # type: ignore[method-assign]
    levels = torch.tensor([s, t], dtype=torch.float64)
    start = torch.full((2, 1, 1, 1), y, dtype=torch.float64)
    found = ancestral(lambda y, s: torch.full_like(y, clean), start, levels, still)
    assert found[0].item() == pytest.approx(mean / bars[1] ** 0.5, rel=1e-9)
    assert small(s, t) == pytest.approx(least / bars[1], rel=1e-9)
    assert large(s, t) == pytest.approx(most / bars[1], rel=1e-9)


def test_eta_leads_from_ddim_to_ancestral() -> None:
    levels, y = walk(linear().table, 20), torch.ones(3, 1, 2, 2, dtype=torch.float64)
    denoise = gaussian(LAMBDA)
    nothing = ddim(denoise, y, levels, STILL, eta=0.0)  # would fail if it drew anything
    assert torch.equal(nothing, ddim(denoise, y, levels, Draw([1, 2, 3])))
    all_of_it = ddim(denoise, y, levels, Draw([1, 2, 3]), eta=1.0)
    torch.testing.assert_close(all_of_it, ancestral(denoise, y, levels, Draw([1, 2, 3])), rtol=1e-12, atol=1e-12)
    half = ddim(denoise, y, levels, Draw([1, 2, 3]), eta=0.5)
    assert not torch.allclose(half, nothing)
    assert not torch.allclose(half, all_of_it)


def test_a_known_image_is_found() -> None:
    """Where the data are one point, every sampler ends on it."""
    point = torch.randn(1, 3, 4, 4, dtype=torch.float64)
    y = 100 * torch.randn(2, 3, 4, 4, dtype=torch.float64)
    for sampler in (ddim, ancestral, partial(ancestral, variance=large), heun):
        found = sampler(lambda y, s: point.expand_as(y), y, walk(linear().table, 10), Draw([0, 1]))
        torch.testing.assert_close(found, point.expand_as(y), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("steps", "variance", "exact"),
    [(18, 1e-3, 1.1270749), (18, 0.25, 1.0552493), (18, 1.0, 1.0447288), (18, 4.0, 1.0360314),
     (40, 1.0, 1.0079011), (256, 1.0, 1.0000989)],
)  # fmt: skip
def test_heun_s_spread_is_known(steps: int, variance: float, exact: float) -> None:
    """The standard deviation of samples over the data's, from N(0, 80^2)."""
    found = variance_of(heun, karras(EDM, steps), START, gaussian(variance))
    assert (found / variance) ** 0.5 == pytest.approx(exact, abs=6e-8)


def test_churn_adds_variance() -> None:
    """Unit variance, levels between 0 and infinity raised by 40 / 18, noise as strong as it should be."""
    sampler = partial(heun, churn=40.0, between=(0.0, math.inf), noise=1.0)
    assert variance_of(sampler, karras(EDM, 18), START, gaussian(1.0)) == pytest.approx(1.2236977, abs=6e-8)


def test_heun_without_churn_draws_nothing_and_runs_up() -> None:
    """Up and down again is the identity within its order: half the steps, four times the error."""
    x = torch.tensor([[[[0.3]]], [[[-1.2]]]], dtype=torch.float64)

    def error(steps: int) -> float:
        levels = torch.linspace(1.0, 0.05, steps + 1, dtype=torch.float64)
        up = heun(gaussian(LAMBDA), x, levels.flip(0), STILL)
        return float((heun(gaussian(LAMBDA), up, levels, STILL) - x).abs().max())

    assert error(400) < 1e-6
    assert error(100) / error(200) > 3.8
