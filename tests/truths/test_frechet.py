"""The Frechet distance against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.errors import DataError
from triptych.metrics import fid
from triptych.metrics.moments import Moments
from truths.features import frechet_bias, normal


def gaussian(mean: Tensor, covariance: Tensor, n: int = 1001) -> Moments:
    """The moments of a sample that has exactly this mean and covariance."""
    return Moments(n, mean, covariance * (n - 1))


def positive(d: int, seed: int) -> Tensor:
    root = normal(d, d, seed=seed)
    return root @ root.T / d + 0.1 * torch.eye(d, dtype=torch.float64)


@pytest.mark.parametrize("d", [1, 8, 256])
def test_scaled_and_shifted(d: int) -> None:
    """FD(N(0, I), N(m, s^2 I)) = |m|^2 + d (1 - s)^2."""
    m, s, eye = normal(d), 1.7, torch.eye(d, dtype=torch.float64)
    exact = float(m.square().sum()) + d * (1 - s) ** 2
    value = fid.frechet(gaussian(torch.zeros(d, dtype=torch.float64), eye), gaussian(m, s**2 * eye))
    assert value == pytest.approx(exact, rel=1e-9)


def test_commuting_covariances() -> None:
    """With common axes the distance is |m|^2 + sum of (sqrt a_i - sqrt b_i)^2."""
    axes, _ = torch.linalg.qr(normal(32, 32))
    a, b = (normal(32, seed=seed).exp() for seed in (1, 2))
    zero = torch.zeros(32, dtype=torch.float64)
    exact = float((a.sqrt() - b.sqrt()).square().sum())
    value = fid.frechet(gaussian(zero, axes * a @ axes.T), gaussian(zero, axes * b @ axes.T))
    assert value == pytest.approx(exact, rel=1e-9)


def test_two_by_two_by_hand() -> None:
    """tr (A B)^(1/2) = sqrt(tr AB + 2 sqrt(det AB)) in two dimensions."""
    a, b = positive(2, 3), positive(2, 4)
    zero = torch.zeros(2, dtype=torch.float64)
    cross = math.sqrt((a @ b).trace() + 2 * math.sqrt(torch.linalg.det(a @ b)))
    exact = float(a.trace() + b.trace()) - 2 * cross
    assert fid.frechet(gaussian(zero, a), gaussian(zero, b)) == pytest.approx(exact, rel=1e-9)


def test_symmetric() -> None:
    a, b = gaussian(normal(20), positive(20, 1)), gaussian(normal(20, seed=9), positive(20, 2), 500)
    assert fid.frechet(a, b) == pytest.approx(fid.frechet(b, a), rel=1e-10)


@pytest.mark.parametrize(("d", "n"), [(64, 1000), (256, 100)])
def test_equal_sets_are_zero(d: int, n: int) -> None:
    """Also where fewer images than features leave most directions empty."""
    moments = Moments.of(normal(n, d))
    assert abs(fid.distance(fid.between(moments, moments))) < 1e-9
    assert fid.frechet(moments, moments) >= 0


def test_a_constant_feature_changes_nothing() -> None:
    x, y = normal(300, 5), normal(200, 5, seed=1) * 1.3
    dead = [torch.cat([rows, torch.full((len(rows), 2), 4.0)], 1) for rows in (x, y)]
    value = fid.frechet(*map(Moments.of, dead))
    assert value == pytest.approx(fid.frechet(Moments.of(x), Moments.of(y)), rel=1e-12)


def test_bias_of_unit_gaussians_is_the_closed_form() -> None:
    d, n, m = 64, 1000, 500
    zero, eye = torch.zeros(d, dtype=torch.float64), torch.eye(d, dtype=torch.float64)
    pair = fid.between(gaussian(zero, eye, n), gaussian(zero, eye, m))
    assert fid.bias(pair) == pytest.approx(frechet_bias(d, n, m), rel=1e-12)


@pytest.mark.parametrize("shape", ["unit", "steep"])
def test_bias_is_what_equal_sets_measure(shape: str) -> None:
    """20 pairs of samples; 5 standard errors, and 3% for the terms beyond the first order."""
    d, n = 32, 1000
    scale = torch.ones(d, dtype=torch.float64) if shape == "unit" else 0.8 ** torch.arange(d)
    values, biases = [], []
    for seed in range(20):
        x, y = (normal(n, d, seed=2 * seed + side) * scale for side in (0, 1))
        pair = fid.between(Moments.of(x), Moments.of(y))
        values.append(fid.distance(pair))
        biases.append(fid.bias(pair))
    mean, error = sum(values) / 20, float(torch.tensor(values).std()) / math.sqrt(20)
    assert abs(mean - sum(biases) / 20) < 5 * error + 0.03 * mean


def test_influence_is_the_derivative() -> None:
    """Weight on one row, by central differences: d FD / d eps at (1 - eps) Y + eps y."""
    x, y = Moments.of(normal(400, 6)), normal(300, 6, seed=1) * 1.5 + 0.3

    def weighted(row: int, eps: float) -> float:
        weights = torch.full((300,), (1 - eps) / 300, dtype=torch.float64)
        weights[row] += eps
        mean = weights @ y
        covariance = ((y - mean) * weights[:, None]).T @ (y - mean)
        return fid.frechet(x, gaussian(mean, covariance))

    whole = gaussian(y.mean(0), y.T.cov(correction=0))
    influence = fid.influence(fid.between(x, whole), y)
    for row in (0, 17, 299):
        slope = (weighted(row, 1e-5) - weighted(row, -1e-5)) / 2e-5
        assert float(influence[row] - influence.mean()) == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_two_extractors_and_one_image_are_refused() -> None:
    with pytest.raises(DataError, match="5 features against 6"):
        fid.frechet(Moments.of(normal(10, 5)), Moments.of(normal(10, 6)))
    with pytest.raises(DataError, match="1 generated"):
        fid.frechet(Moments.of(normal(10, 5)), Moments.of(normal(1, 5)))
