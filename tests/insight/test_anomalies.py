"""Thresholds that keep their promise, outliers that are found, and a page that asks nobody."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from blobs import blobs, source
from linear import Linear
from triptych.core import Source
from triptych.data.arrays import ArraySource
from triptych.errors import DataError, UsageError
from triptych.insight import Anomalies, anomalies, reconstructed, strangeness
from triptych.insight.anomalies import limit, pixel_distance, separation
from triptych.leaks.threshold import confidence_of, enough, rank
from triptych.pixels import to_uint8
from triptych.report.anomalies import Subject, Worst, heat, promise, write_anomalies

MODEL = Linear(torch.tensor([1.5, 1.0]), noise=0.05)
EVIL = '<script src="http://x">&'


def normal(count: int, seed: int) -> torch.Tensor:
    """Images that the model itself makes, with its noise."""
    from triptych.chance import Draw

    return to_uint8(MODEL.sample(Draw(range(seed, seed + count)), temperature=0.3, pixels="draw"))


def planted() -> ArraySource:
    """30 normal images and 10 of noise, as two classes."""
    noise = torch.randint(0, 256, (10, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    labels = np.repeat([0, 1], [30, 10])
    images = torch.cat([normal(30, 1000), noise]).numpy()
    return ArraySource(images, labels, ("calm", EVIL), [f"{EVIL}{i}" for i in range(40)])


@pytest.fixture(params=["likelihood", "reconstruction"])
def found(request: pytest.FixtureRequest) -> Anomalies:
    way = strangeness(MODEL, request.param)
    return anomalies(way.score, planted(), source(normal(100, 0)), 0.05, source(normal(200, 5000)))


def test_planted_outliers_are_told_apart_without_fail(found: Anomalies) -> None:
    strange, calm = found.classes
    assert (strange.name, strange.of, strange.auc.value) == (EVIL, 10, 1.0)
    assert strange.pixels.value == 1.0  # and so does the baseline
    assert calm.auc.low < 0.5 < calm.auc.high
    assert found.flagged[30:].all()
    assert set(found.order()[:10]) == set(range(30, 40))


def test_images_that_were_trained_on_are_left_out_of_the_classes() -> None:
    given, way = planted(), strangeness(MODEL)
    train = source(given.read(range(25)).images)
    found = anomalies(way.score, given, source(normal(50, 0)), train=train)
    assert found.trained_on.tolist() == [True] * 25 + [False] * 15
    assert {row.name: row.of for row in found.classes} == {EVIL: 10, "calm": 5}


def test_the_threshold_says_exactly_what_it_promises() -> None:
    scores = torch.arange(180.0)
    few = limit(scores, 0.01)
    assert (few.score, few.rank, few.normal) == (179.0, 1, 180)
    assert few.confidence == pytest.approx(1 - 0.99**180)
    assert (
        "flags at most 1% of new normal images, with 83.62% confidence; with 299 of them that would be 95%"
        in promise(few)
    )
    many = limit(torch.arange(1000.0), 0.01)
    assert (many.rank, many.score) == (rank(1000, 0.01), 1000.0 - rank(1000, 0.01))
    beyond = sum(math.comb(1000, j) * 0.01**j * 0.99 ** (1000 - j) for j in range(many.rank))
    assert many.confidence == pytest.approx(1 - beyond)
    assert 0.95 <= many.confidence < 0.98
    assert (rank(enough(0.05) - 1, 0.05), rank(enough(0.05), 0.05)) == (0, 1)
    assert confidence_of(1, 299, 0.01) >= 0.95


def test_what_lies_above_the_threshold_is_flagged_and_nothing_else() -> None:
    images = source(normal(200, 0))
    found = anomalies(strangeness(MODEL).score, images, images, 0.05)
    assert found.limit.rank == rank(200, 0.05) > 1
    assert set(found.order()[: found.limit.rank - 1]) == set(found.flagged.nonzero()[:, 0].tolist())


def test_the_promise_is_kept_in_many_worlds() -> None:
    draw = torch.Generator().manual_seed(1)
    above = torch.stack([1 - torch.tensor(limit(torch.rand(400, generator=draw), 0.02).score) for _ in range(1000)])
    late = float((above > 0.02).double().mean())
    assert abs(late - (1 - limit(torch.rand(400), 0.02).confidence)) < 0.02


def test_the_area_is_that_of_others_and_its_interval_covers() -> None:
    draw = torch.Generator().manual_seed(2)
    a, b = torch.randn(60, generator=draw).round(decimals=1) + 0.5, torch.randn(90, generator=draw).round(decimals=1)
    truth = roc_auc_score([1] * 60 + [0] * 90, torch.cat([a, b]).tolist())
    assert separation(a, b).value == pytest.approx(truth)
    whole = float(torch.special.ndtr(torch.tensor(1 / math.sqrt(2))))  # P(N(1, 1) > N(0, 1))
    covered = 0
    for _ in range(300):
        estimate = separation(1 + torch.randn(50, generator=draw), torch.randn(70, generator=draw))
        covered += estimate.low <= whole <= estimate.high
    assert 0.91 < covered / 300 < 0.98


def test_equal_images_are_no_neighbours() -> None:
    images = torch.tensor([0, 10, 10, 40]).to(torch.uint8).view(4, 1, 1, 1).expand(4, 1, 2, 2).contiguous()
    assert pixel_distance(source(images), source(images)).tolist() == pytest.approx([10, 10, 10, 30])
    assert pixel_distance(source(images[:1]), source(images[:1])).tolist() == [math.inf]


def test_the_page_needs_nothing_and_trusts_no_name(found: Anomalies, tmp_path: Path) -> None:
    given, rows = planted(), found.order()[:6]
    (again,) = reconstructed(MODEL, given, rows=rows)
    subject = Subject(EVIL, EVIL, EVIL, EVIL, [EVIL])
    facts = write_anomalies(found, strangeness(MODEL), subject, given, Worst(rows, *again), tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "").replace("&lt;script src=&#34;http://x&#34;&gt;", "")
    assert text.count("<img") == 3 * 6
    assert "<polyline" in text
    with (tmp_path / "anomalies.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 40
    assert [line["class"] for line in lines[:10]] == [EVIL] * 10
    assert [float(line["score"]) for line in lines] == sorted(found.scores.tolist(), reverse=True)
    assert facts["flagged"] == sum(int(line["flagged"]) for line in lines) >= 10
    assert facts["limit"]["confidence"] == found.limit.confidence


def test_a_model_that_only_scores_has_a_page_too(found: Anomalies, tmp_path: Path) -> None:
    given, rows = planted(), found.order()[:3]
    write_anomalies(found, strangeness(MODEL), Subject("a", "b", "c", "d"), given,
                    Worst(rows, given.read(rows).images), tmp_path)  # fmt: skip
    assert "makes no reconstructions" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_heat_rises_with_the_error_on_one_scale() -> None:
    error = torch.tensor([0.0, 5, 10, 20, -40]).view(1, 1, 1, 5).repeat(2, 3, 1, 1)
    error[1] /= 2
    (first, second), top = heat(error)
    light = first.double().sum(0)[0]
    assert top == 40
    assert (light.diff() > 0).all()
    assert torch.equal(second[:, 0, 3], first[:, 0, 2])


def test_wishes_that_cannot_be_met() -> None:
    with pytest.raises(UsageError, match="--by is 'likelyhood': did you mean 'likelihood'"):
        strangeness(MODEL, "likelyhood")
    with pytest.raises(UsageError, match="--samples is for scores by likelihood"):
        strangeness(MODEL, "reconstruction", samples=3)

    def score(images: Source, progress: object) -> torch.Tensor:
        return torch.zeros(len(images))

    with pytest.raises(DataError, match="0 normal ones"):
        anomalies(score, source(blobs(2)), source(blobs(2)).subset(np.array([], np.int64)))
