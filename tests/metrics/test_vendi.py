"""The Vendi score at its ends and against the kernel matrix."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from triptych.metrics.vendi import vendi


@pytest.mark.parametrize(("n", "d"), [(8, 8), (8, 20), (3, 64)])
def test_orthogonal_images_count_each(n: int, d: int) -> None:
    assert vendi(torch.eye(n, d) * 7).value == pytest.approx(n, rel=1e-12)


@pytest.mark.parametrize("row", [torch.tensor([1.0, -2.0, 5.0]), torch.zeros(3)])
def test_duplicates_count_once(row: torch.Tensor) -> None:
    assert vendi(row.repeat(50, 1)) == pytest.approx((1, 1, 1), rel=1e-9)


def test_images_without_features_are_one_kind() -> None:
    assert vendi(torch.cat([torch.zeros(10, 4), torch.eye(4)[:1].repeat(10, 1)])).value == pytest.approx(2)


@pytest.mark.parametrize(("n", "d"), [(40, 6), (12, 30)])
def test_both_ways_equal_the_kernel_matrix(n: int, d: int) -> None:
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cosines = cosine_similarity(x[:, None], x[None], dim=2)
    shares = torch.linalg.eigvalsh(cosines / n).clamp(min=1e-300)
    assert vendi(x).value == pytest.approx(math.exp(-float((shares * shares.log()).sum())), rel=1e-9)


def test_the_interval_holds_the_spread_of_repetitions() -> None:
    """60 sets of 500 rows of unequal directions, to 5 standard errors."""
    draw, scale = torch.Generator().manual_seed(0), 0.7 ** torch.arange(8)
    estimates = [vendi(torch.randn(500, 8, generator=draw) * scale) for _ in range(60)]
    spread = float(torch.tensor([e.value for e in estimates]).std())
    width = sum(e.high - e.low for e in estimates) / len(estimates) / 2 / 1.96
    assert width == pytest.approx(spread, rel=5 / math.sqrt(2 * 59))
