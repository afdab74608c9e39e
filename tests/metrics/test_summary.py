"""Summaries add up: the order, the batches and the number of workers change nothing."""

from __future__ import annotations

import math
from functools import reduce
from operator import add

import pytest
import torch
from torch import Tensor

from triptych.errors import DataError
from triptych.metrics import summary as module
from triptych.metrics.moments import Moments
from triptych.metrics.summary import Summary, View, gather, hashes, summary, total

N, D, MOST = 1000, 7, 300


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


FEATURES = normal(N, D) * 3 + 100
LOGITS = normal(N, 4, seed=1)
LABELS = torch.arange(N) % 10


def part(start: int, stop: int) -> Summary:
    return summary("toy", start, FEATURES[start:stop], LOGITS[start:stop], LABELS[start:stop], MOST)


def views(size: int) -> list[View]:
    return [View(FEATURES[i : i + size], LOGITS[i : i + size], LABELS[i : i + size]) for i in range(0, N, size)]


def same(a: Summary, b: Summary) -> bool:
    """Equal rows to the bit, equal moments to rounding."""
    rows = all(torch.equal(mine, theirs) for mine, theirs in zip(a.rows, b.rows, strict=True))
    means = torch.allclose(a.moments.mean, b.moments.mean, rtol=1e-12, atol=0)
    scatters = torch.allclose(a.moments.scatter, b.moments.scatter, rtol=1e-12, atol=1e-12 * N * 9)
    return (a.extractor, a.n, a.most) == (b.extractor, b.n, b.most) and rows and means and scatters


def test_moments_are_those_of_the_definition() -> None:
    moments = Moments.of(FEATURES)
    torch.testing.assert_close(moments.mean, FEATURES.sum(0) / N, rtol=1e-14, atol=0)
    torch.testing.assert_close(moments.covariance, FEATURES.T.cov(), rtol=1e-12, atol=1e-12)


def test_moments_far_from_zero_lose_nothing() -> None:
    near, far = (reduce(add, map(Moments.of, torch.split(FEATURES + shift, 10))) for shift in (0.0, 2.0**20))
    torch.testing.assert_close(far.scatter, near.scatter, rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("size", [1, 64, 333, N])
def test_the_size_of_batches_changes_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 128)
    assert same(gather("toy", views(size), MOST), part(0, N))


def test_the_order_of_batches_changes_nothing() -> None:
    parts = [part(i, i + 50) for i in range(0, N, 50)]
    assert same(total(reversed(parts)), total(parts))
    assert same(total(parts), part(0, N))


def test_workers_add_up() -> None:
    """Four workers, each with a stretch of the images, in any grouping."""
    a, b, c, d = (
        gather("toy", [View(*v)], MOST, first) for first, v in zip((0, 250, 500, 750), views(250), strict=True)
    )
    assert same((a + b) + (c + d), part(0, N))
    assert same(d + (b + (c + a)), part(0, N))


def test_rows_keep_what_belongs_to_them() -> None:
    rows = part(0, N).rows
    assert len(rows.index) == MOST
    assert len(rows.index.unique()) == MOST
    assert torch.equal(rows.features, FEATURES[rows.index].float())
    assert torch.equal(rows.logits, LOGITS[rows.index])
    assert torch.equal(rows.labels, LABELS[rows.index])


def test_the_sample_is_even() -> None:
    """The mean index of 300 of 1,000 lies within 5 standard errors of the middle, and both halves are there."""
    index = part(0, N).rows.index.double()
    error = math.sqrt(N**2 / 12 / MOST * (1 - MOST / N))
    assert abs(float(index.mean()) - (N - 1) / 2) < 5 * error
    assert len({*hashes(torch.arange(100_000).numpy()).tolist()}) == 100_000


def test_labels_of_some_images_alone_are_dropped() -> None:
    whole = gather("toy", [View(FEATURES[:10], None, LABELS[:10]), View(FEATURES[10:20])])
    assert whole.rows.labels is None
    assert whole.n == 20


def test_memory_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows come, no sort sees more than what is kept and as many again, and a block."""
    seen = []
    real = module.kept
    monkeypatch.setattr(module, "BLOCK", 100)
    monkeypatch.setattr(module, "kept", lambda rows, most: seen.append(len(rows.index)) or real(rows, most))
    whole = gather("toy", (View(FEATURES[:20]) for _ in range(300)), MOST)
    assert whole.n == 6000
    assert max(seen) <= 2 * MOST + 100


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_features_that_are_not_finite_are_refused(wrong: float) -> None:
    features = FEATURES.clone()
    features[3, 2] = wrong
    with pytest.raises(DataError, match=r"1 of 1000 images, the first is number 3:"):
        summary("toy", 0, features)


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="no images"):
        gather("toy", [])


def test_two_extractors_are_refused() -> None:
    with pytest.raises(DataError, match="do not go together"):
        part(0, 10) + summary("other", 10, FEATURES[:10])
