"""Neighbours counted by hand, at their ends, and against expectations for equal distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.errors import DataError
from triptych.metrics import neighbours
from triptych.metrics.neighbours import near, nearest, prdc, reach, squared

N = 600


def uniform(n: int, d: int = 2, seed: int = 0) -> Tensor:
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def means(x: Tensor, y: Tensor, k: int = 5) -> dict[str, float]:
    return {name: float(column.mean()) for name, column in prdc(x, y, k)._asdict().items()}


def line(*places: float) -> Tensor:
    return torch.tensor(places)[:, None]


def test_by_hand() -> None:
    """Real 0, 1, 3, 7 with one neighbour: radii 1, 1, 2, 4; generated 0.5, 4, 20: radii 3.5, 3.5, 16."""
    found = prdc(line(0, 1, 3, 7), line(0.5, 4, 20), 1)
    assert found.precision.tolist() == [1, 1, 0]
    assert found.recall.tolist() == [1, 1, 1, 1]
    assert found.density.tolist() == [2, 2, 0]  # 0.5 is in the balls of 0 and 1, 4 in those of 3 and 7
    assert found.coverage.tolist() == [1, 1, 1, 1]
    assert found.authentic.tolist() == [0, 0, 1]  # 0.5 from 0, whose neighbour is 1 away; 1 from 3, 2; 13 from 7, 4


def test_reach_by_hand() -> None:
    assert reach(line(0.0, 1, 3, 7).double(), 2).sqrt().round(decimals=6).tolist() == [[1, 3], [1, 2], [2, 3], [4, 6]]


def test_equal_sets() -> None:
    """Each row is in its own ball and in those of others: k + 1 of k on average, where ties are inside."""
    x = uniform(N, 5)
    assert means(x, x) == pytest.approx({"precision": 1, "recall": 1, "density": 6 / 5, "coverage": 1, "authentic": 0})


def test_far_sets() -> None:
    found = means(uniform(N), uniform(N) + 100)
    assert found == {"precision": 0, "recall": 0, "density": 0, "coverage": 0, "authentic": 1}


def test_half_of_the_support() -> None:
    """Images of the left half alone: all are precise, half of the real ones are recalled and covered."""
    found = means(uniform(2000), uniform(2000, seed=1) * torch.tensor([0.5, 1.0]))
    assert found["precision"] > 0.97
    assert found["recall"] == pytest.approx(0.5, abs=0.05)
    assert found["coverage"] == pytest.approx(0.5, abs=0.05)


def test_equal_distributions_have_their_expectations() -> None:
    """Density 1; coverage 1 - prod of (N - i) / (M + N - i), i = 1 to k (Naeem et al. 2020)."""
    n, m, k = 400, 300, 5
    found = [means(uniform(n, 3, seed), uniform(m, 3, 100 + seed), k) for seed in range(20)]
    expected = 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))
    for key, exact in (("density", 1.0), ("coverage", expected)):
        values = torch.tensor([each[key] for each in found])
        assert abs(float(values.mean()) - exact) < 5 * float(values.std()) / math.sqrt(20)


def test_copies_are_not_authentic() -> None:
    x = uniform(N, 8)
    y = torch.cat([x[:50] + 1e-9, uniform(50, 8, seed=1) + 3])
    assert near(x, y).authentic.tolist() == [0] * 50 + [1] * 50


def test_duplicates_are_at_distance_zero_far_from_the_origin() -> None:
    x = (uniform(20, 64) + 1000).float()
    apart = squared(x.double(), x.double())
    assert torch.equal(apart.diagonal(), torch.zeros(20, dtype=torch.float64))
    exact = (x.double()[:, None] - x.double()).square().sum(2)
    torch.testing.assert_close(apart, exact, rtol=1e-5, atol=0)
    assert means(x[:1].repeat(10, 1), x[:1].repeat(10, 1))["precision"] == 1


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = uniform(100, 4), uniform(90, 4, seed=1)
    whole = near(x, y)
    monkeypatch.setattr(neighbours, "CHUNK", 17)
    assert all(map(torch.equal, near(x, y), whole))


def test_nearest() -> None:
    assert nearest(line(0, 1, 3, 7), line(6, 0.4, 2.9)).tolist() == [3, 0, 2]


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="5 neighbours need at least 6 images, there are 4"):
        prdc(line(0, 1, 2, 3), line(0, 1, 2, 3))
