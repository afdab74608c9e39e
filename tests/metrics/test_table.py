"""All metrics together: order, names, refusals and intervals."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor

from triptych.errors import DataError, UsageError
from triptych.metrics import fid
from triptych.metrics.moments import Moments
from triptych.metrics.summary import Summary, View, gather
from triptych.metrics.table import KEYS, METRICS, scores

ORDER = ["frechet", "kid", "inception-score", "precision", "recall", "density", "coverage", "mmd", "vendi"]
ORDER += ["authenticity"]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seen(n: int, seed: int = 0, d: int = 8, about: str = "toy 0a1b2c3d, 32 px", most: int = 10_000) -> Summary:
    return gather(about, [View(normal(n, d, seed=seed) + 0.1 * seed, 3 * normal(n, 10, seed=seed))], most)


def test_the_order_of_the_table() -> None:
    assert list(KEYS) == ORDER
    assert [score.key for score in scores(seen(600), seen(600, 1))] == ORDER
    assert [score.key for score in scores(seen(600), seen(600, 1), ["recall", "kid"])] == ["kid", "recall"]


def test_every_number_lies_in_its_interval_and_names_its_extractor() -> None:
    for score in scores(seen(600), seen(600, 1)):
        assert score.estimate is not None, score.note
        assert score.estimate.low <= score.estimate.value <= score.estimate.high
        assert score.label.endswith("-toy")


def test_only_inception_has_the_names_of_papers() -> None:
    labels = [score.label for score in scores(*(seen(20, about="inception 0a1b2c3d, 299 px") for _ in range(2)))]
    assert labels[:4] == ["FID", "KID", "IS", "precision"]


def test_better_is_better() -> None:
    """A fresh sample of the real distribution beats a shrunken and shifted one in every metric that sees the real."""
    real, good = gather("toy", [View(normal(800, 8))]), gather("toy", [View(normal(800, 8, seed=1))])
    bad = gather("toy", [View(normal(800, 8, seed=2) * 0.5 + 1.5)])
    for metric in METRICS:
        if metric.alone or metric.key == "authenticity":
            continue
        (fine,), (poor,) = scores(real, good, [metric.key]), scores(real, bad, [metric.key])
        better = fine.estimate.value < poor.estimate.value
        assert better == (metric.better == "lower"), metric.key


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.key)
def test_too_few_images_are_refused_with_the_number(metric) -> None:
    least = metric.least or 9
    many, enough, few = seen(600), seen(least, 1), seen(least - 1, 1)
    assert scores(many, enough, [metric.key])[0].estimate is not None
    refused = scores(many, few, [metric.key])[0]
    assert refused.estimate is None
    assert f"at least {least} images" in refused.note
    assert f"{least - 1} generated" in refused.note
    if not metric.alone:
        assert scores(few, many, [metric.key])[0].estimate is None


def test_frechet_needs_more_images_than_features() -> None:
    (score,) = scores(seen(100, d=100), seen(500, 1, d=100), ["frechet"])
    assert score.estimate is None
    assert score.note.startswith(
        "Needs at least 101 images, more than the 100 features; there are 500 generated and 100"
    )


def test_inception_score_needs_logits() -> None:
    plain = gather("toy", [View(normal(600, 8))])
    (score,) = scores(plain, plain, ["inception-score"])
    assert score.estimate is None
    assert "does not classify" in score.note


def test_frechet_is_of_all_images_and_says_its_bias() -> None:
    real, made = seen(2000, 0, most=300), seen(1500, 1, most=300)
    (score,) = scores(real, made, ["frechet"])
    assert len(made.rows.index) == 300
    assert score.estimate.value == pytest.approx(fid.frechet(real.moments, made.moments), rel=1e-12)
    said = float(re.search(r"about ([\d.]+)\.$", score.note).group(1))
    assert said == pytest.approx(fid.bias(fid.between(real.moments, made.moments)), rel=0.01)


def test_frechet_clipped_says_so() -> None:
    """A set against itself, whose distance rounding puts on either side of 0."""
    found = [scores(seen(600, s, d=40), seen(600, s, d=40), ["frechet"])[0] for s in range(8)]
    clipped = [score for score in found if "Rounding made it" in score.note]
    assert clipped
    assert all(score.estimate.value == 0 == score.estimate.low for score in clipped)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_frechet_interval_holds_the_spread_of_repetitions(shift: float) -> None:
    """40 sets drawn anew against one reference, to 5 standard errors, also where the distributions are equal."""
    real = seen(1000, d=16)
    found = [
        scores(real, gather(real.extractor, [View(normal(1000, 16, seed=s) + shift)]), ["frechet"])
        for s in range(1, 41)
    ]
    estimates = [score.estimate for (score,) in found]
    spread = float(torch.tensor([e.value for e in estimates]).std())
    width = sum(e.high - e.low for e in estimates) / len(estimates) / 2 / 1.96
    assert width == pytest.approx(spread, rel=5 / math.sqrt(2 * 39))


def test_frechet_interval_holds_the_spread_of_a_whole_bootstrap() -> None:
    """The influence of rows says what recomputing the distance of resampled rows says."""
    x, y = Moments.of(normal(2000, 12)), normal(1000, 12, seed=1) * 1.3
    (score,) = scores(gather("toy", [View(normal(2000, 12))]), gather("toy", [View(y)]), ["frechet"])
    draw = torch.Generator().manual_seed(0)
    anew = [fid.frechet(x, Moments.of(y[torch.randint(1000, (1000,), generator=draw)])) for _ in range(100)]
    width = (score.estimate.high - score.estimate.low) / 2 / 1.96
    assert width == pytest.approx(float(torch.tensor(anew).std()), rel=5 / math.sqrt(2 * 99))


def test_mmd_says_its_bandwidth() -> None:
    (plain,) = scores(seen(100), seen(100, 1), ["mmd"])
    (like_clip,) = scores(*(seen(100, s, about="dinov2 0a1b2c3d, 224 px") for s in (0, 1)), ["mmd"])
    assert "the median distance of real images" in plain.note
    assert "as CMMD" in like_clip.note


def test_two_extractors_and_unknown_metrics_are_refused() -> None:
    with pytest.raises(DataError, match="use one"):
        scores(seen(100), seen(100, about="other"))
    with pytest.raises(UsageError, match="did you mean 'recall'"):
        scores(seen(100), seen(100), ["recal"])
