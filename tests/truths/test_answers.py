"""What networks answer is one thing in several coordinates, in float64."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from triptych.diffusion.scaling import Scaling, edm, eps, flow, velocity, x0
from triptych.errors import UsageError

D = 5


class Truth(NamedTuple):
    """Everything about x_t = alpha x + sigma n for x ~ N(mean, cov), by conditional expectation."""

    x_t: Tensor
    clean: Tensor
    noise: Tensor
    score: Tensor
    alpha: float
    sigma: float


@pytest.fixture(params=[0.01, 0.3, 1.0, 7.0, 150.0], ids=str)
def truth(request: pytest.FixtureRequest) -> Truth:
    s: float = request.param
    chance = torch.Generator().manual_seed(0)
    root = torch.randn(D, D, generator=chance, dtype=torch.float64)
    mean, x_t = torch.randn(2, D, generator=chance, dtype=torch.float64)
    cov, unit = root @ root.T / D, torch.eye(D, dtype=torch.float64)
    alpha = (1 + s * s) ** -0.5
    sigma = s * alpha
    pull = torch.linalg.solve(alpha**2 * cov + sigma**2 * unit, x_t - alpha * mean)
    return Truth(x_t, mean + alpha * cov @ pull, sigma * pull, -pull, alpha, sigma)


def answers(truth: Truth) -> dict[Scaling, Tensor]:
    return {eps: truth.noise, x0: truth.clean, velocity: truth.alpha * truth.noise - truth.sigma * truth.clean}


@pytest.mark.parametrize("scaling", [eps, x0, velocity])
def test_the_ideal_answer_gives_the_ideal_estimate(scaling: Scaling, truth: Truth) -> None:
    s = torch.tensor([truth.sigma / truth.alpha], dtype=torch.float64)
    y = truth.x_t / truth.alpha
    skip, out, inp = scaling(s)
    torch.testing.assert_close(inp * y, truth.x_t, rtol=1e-12, atol=1e-12)
    clean = skip * y + out * answers(truth)[scaling]
    torch.testing.assert_close(clean, truth.clean, rtol=1e-12, atol=1e-12 * max(1.0, s.item()))
    score = (truth.alpha * clean - truth.x_t) / truth.sigma**2  # Tweedie's formula
    torch.testing.assert_close(score, truth.score, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("scaling", [eps, x0, velocity])
def test_the_error_over_out_is_the_error_of_the_answer(scaling: Scaling, truth: Truth) -> None:
    s = torch.tensor([truth.sigma / truth.alpha], dtype=torch.float64)
    x, n = torch.randn(2, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = {eps: n, x0: x, velocity: truth.alpha * n - truth.sigma * x}[scaling]
    skip, out, _ = scaling(s)
    answer = torch.zeros(D, dtype=torch.float64)
    wrong = skip * (x + s * n) + out * answer - x
    torch.testing.assert_close(wrong / out, answer - target, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("t", [0.001, 0.3, 0.5, 0.999], ids=str)
def test_the_flow_answers_with_the_velocity(t: float) -> None:
    """v = (t - (1 - t) l) / ((1 - t)^2 l + t^2) (x_t - (1 - t) m) - m for x ~ N(m, l), to 1e-10."""
    rows = [[0.7, -2.0, 0.0], [0.25, 3.0, 1.0], [0.3, 1.1, -0.4], [t / (1 - t)] * 3]
    mean, variance, x_t, s = torch.tensor(rows, dtype=torch.float64)
    v = (t - (1 - t) * variance) / ((1 - t) ** 2 * variance + t**2) * (x_t - (1 - t) * mean) - mean
    y = x_t / (1 - t)
    skip, out, inp = flow(s)
    torch.testing.assert_close(inp * y, x_t, rtol=1e-10, atol=1e-10)
    clean = mean + variance / (variance + s * s) * (y - mean)  # the Wiener filter
    torch.testing.assert_close(skip * y + out * v, clean, rtol=1e-10, atol=1e-10)
    x, n = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close((skip * (x + s * n) - x) / out, x - n, rtol=1e-9, atol=1e-9)  # of the answer 0


@pytest.mark.parametrize("s", [0.002, 0.5, 3.0, 80.0])
def test_edm_leaves_nothing_to_a_network_of_gaussian_images(s: float) -> None:
    """For x ~ N(0, d^2) c_skip is the Wiener gain, so the answer is 0; in and target have variance 1."""
    d, level = 0.37, torch.tensor([s], dtype=torch.float64)
    skip, out, inp = edm(d)(level)
    assert skip.item() == pytest.approx(d * d / (d * d + s * s), rel=1e-12)
    assert (inp.square() * (d * d + s * s)).item() == pytest.approx(1, rel=1e-12)
    left = (1 - skip) ** 2 * d * d + skip**2 * s * s  # variance of x - skip y
    assert (left / out.square()).item() == pytest.approx(1, rel=1e-12)
    with pytest.raises(UsageError, match="above 0"):
        edm(0.0)
