"""Kernel distances against expectations in closed form and sums written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from triptych.metrics import kernel
from triptych.metrics.kernel import cmmd, discrepancy, gaussian, kid, median_distance, mmd
from truths.features import cubic_distance, cubic_mean, normal


def test_the_mean_of_the_cubic_kernel_is_an_integral() -> None:
    """E (x y + 1)^3 of two standard normals is 1 + 3 E x^2 y^2 = 1 + 3 / d with d = 1; elsewhere by quadrature."""
    zero = torch.zeros(1, dtype=torch.float64)
    assert cubic_mean(zero, zero) == 4
    assert cubic_mean(torch.zeros(8), torch.zeros(8)) == pytest.approx(1 + 3 / 8, rel=1e-12)
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(4))
    share = weights / weights.sum()
    cubes = ((nodes[:, None] + 0.3) * (nodes + 0.8) + 1) ** 3
    assert float(share @ cubes @ share) == pytest.approx(cubic_mean(zero + 0.3, zero + 0.8), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_kid_has_its_expectation(shift: float) -> None:
    """Two pairs of Gaussians, 1,000 rows each; 5 standard errors of 10 repetitions."""
    d, n = 8, 1000
    a, b = torch.full((d,), 0.2, dtype=torch.float64), torch.full((d,), 0.2 + shift, dtype=torch.float64)
    exact = cubic_distance(a, b)
    values = torch.tensor([kid(normal(n, d, seed=s) + a, normal(n, d, seed=99 + s) + b).value for s in range(10)])
    assert abs(float(values.mean()) - exact) < 5 * float(values.std()) / math.sqrt(10)


@pytest.mark.parametrize(("n", "m"), [(7, 11), (600, 530)])
def test_every_pair_counts_once(n: int, m: int) -> None:
    """Against the whole kernel matrix, also where it takes several blocks."""
    x, y = normal(n, 4), normal(m, 4, seed=1) + 0.2
    both = torch.cat([x, y])
    whole = (both @ both.T / 4 + 1) ** 3
    own = whole - whole.diagonal().diag()
    exact = own[:n, :n].sum() / n / (n - 1) + own[n:, n:].sum() / m / (m - 1) - 2 * whole[:n, n:].mean()
    assert kid(x, y).value == pytest.approx(float(exact), rel=1e-9)


def test_gaussian_kernel_by_hand() -> None:
    a, b = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[3.0, 4.0]])
    assert gaussian(5.0)(a, b).flatten().tolist() == pytest.approx([math.exp(-0.5), 1.0])


def test_mmd_has_its_expectation() -> None:
    """E k(x, y) of two unit Gaussians s apart is (w^2 / (w^2 + 2))^(d/2) exp(-|s|^2 / (2 w^2 + 4))."""
    d, n, w, s = 4, 1000, 2.0, 0.7
    peak = (w**2 / (w**2 + 2)) ** (d / 2)
    exact = 2 * peak * (1 - math.exp(-d * s**2 / 2 / (w**2 + 2)))
    values = torch.tensor([mmd(normal(n, d, seed=i), normal(n, d, seed=99 + i) + s, w).value for i in range(10)])
    assert abs(float(values.mean()) - exact) < 5 * float(values.std()) / math.sqrt(10)


def test_the_bandwidth_is_a_length() -> None:
    """Doubling all features doubles the bandwidth and leaves the discrepancy as it was."""
    x, y = normal(200, 5), normal(200, 5, seed=1) + 0.5
    assert median_distance(torch.tensor([[0.0], [1.0], [10.0]])) == 9.0
    assert median_distance(2 * x) == pytest.approx(2 * median_distance(x))
    assert mmd(2 * x, 2 * y).value == pytest.approx(mmd(x, y).value, rel=1e-9)
    assert median_distance(torch.zeros(10, 3)) == 1.0


def test_cmmd_sees_directions_alone() -> None:
    """Lengths do not matter; two opposite points are 2000 (1 - exp(-4 / 200)) apart."""
    x, y = normal(100, 5), normal(100, 5, seed=1) + 0.5
    assert cmmd(3 * x, y * normal(100, 1, seed=2).abs()).value == pytest.approx(cmmd(x, y).value, rel=1e-9)
    east = torch.tensor([[1.0, 0.0]]).repeat(10, 1)
    assert cmmd(east, -2 * east).value == pytest.approx(2000 * (1 - math.exp(-0.02)), rel=1e-9)


def test_the_interval_holds_the_spread_of_repetitions() -> None:
    """The half width, over 1.96, is the standard deviation of 60 sets drawn anew, to 5 standard errors of either."""
    x = normal(300, 4)
    estimates = [kid(x, normal(300, 4, seed=s) + 0.3) for s in range(1, 61)]
    spread = float(torch.tensor([e.value for e in estimates]).std())
    width = sum(e.high - e.low for e in estimates) / len(estimates) / 2 / 1.96
    assert width == pytest.approx(spread, rel=5 / math.sqrt(2 * 59))


def test_equal_points_are_zero() -> None:
    same = torch.ones(20, 3)
    assert kid(same, same).value == pytest.approx(0, abs=1e-12)
    assert discrepancy(same, same, gaussian(1.0)) == pytest.approx((0, 0, 0), abs=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(100, 4), normal(90, 4, seed=1)
    whole = kid(x, y)
    monkeypatch.setattr(kernel, "CHUNK", 17)
    assert kid(x, y) == pytest.approx(whole, rel=1e-10)
