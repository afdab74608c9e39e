"""One audit from end to end: a model that copies, one that does not, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from blobs import AVERAGES, blobs, source
from triptych.core import Batch
from triptych.errors import DataError
from triptych.leaks import Audit, Detector, audit, facts
from triptych.leaks.audit import WORST, repeats
from triptych.leaks.sheet import WARNING, sheet
from triptych.report.privacy import Subject, verdict, write_privacy

LABELS = torch.arange(1100) % 2
TRAIN = source(blobs(1100), LABELS, ("even", "odd"))
HELD_OUT = source(blobs(300, seed=1), torch.arange(300) % 2, ("even", "odd"))
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(TRAIN, HELD_OUT, AVERAGES)


@pytest.fixture(scope="module")
def copying(detector: Detector) -> Audit:
    """40 fresh images, and 10 copies of training images with an odd number."""
    made = torch.cat([blobs(40, seed=2), TRAIN.read(range(1, 21, 2)).images])
    return audit([Batch(made[:25]), Batch(made[25:])], TRAIN, HELD_OUT, AVERAGES, detector=detector)


def test_copies_are_counted_and_shown_first(copying: Audit) -> None:
    assert (copying.copies.flagged, copying.copies.of) == (10, 50)
    assert copying.copies.low < copying.copies.per_10_000 == 2000 < copying.copies.high
    assert len(copying.pairs) == WORST
    assert {pair.number for pair in copying.pairs[:10]} == set(range(40, 50))
    for pair in copying.pairs[:10]:
        assert pair.flagged
        assert torch.equal(pair.made, pair.real)


def test_classes(copying: Audit) -> None:
    rows = {row.name: row for row in copying.classes}
    assert (rows["odd"].flagged, rows["even"].flagged) == (10, 0)
    assert rows["odd"].of + rows["even"].of == 50
    assert rows["odd"].training == 550


def test_repeats_among_the_generated() -> None:
    images = torch.cat([blobs(20), blobs(5).flip(-1)])
    assert repeats(images) == (10, 25)
    assert repeats(images[:1]) == (0, 1)


def test_facts_are_plain(copying: Audit) -> None:
    said = facts(copying)
    assert json.loads(json.dumps(said)) == said
    assert said["copies"]["flagged"] == 10
    assert "made" not in said["pairs"][0]


def test_the_sheet_says_what_is_not_known(copying: Audit) -> None:
    lines = {line.label: line.value for line in sheet(copying, passes=12.5)}
    assert lines["Use"].startswith(WARNING)
    assert lines["Patients"].startswith("not known")
    assert lines["Passes over the data"] == "12.5"
    assert "10 of 50" in lines["Copies"]
    assert "not done" in lines["Membership test"]


def test_the_page_needs_nothing_and_trusts_no_name(copying: Audit, tmp_path: Path) -> None:
    said = write_privacy(copying, Subject(EVIL, EVIL, EVIL, None, [EVIL]), tmp_path / "new" / "page.html")
    text = (tmp_path / "new" / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("<img") == 2 * WORST
    assert "100</td>" in text
    assert json.loads((tmp_path / "new" / "page.json").read_text(encoding="utf-8")) == json.loads(json.dumps(said))


def test_the_verdict_follows_the_numbers(copying: Audit) -> None:
    assert "more than the 1%" in verdict(copying)
    clean = copying._replace(copies=copying.copies._replace(flagged=0, low=0.0, high=3.7, of=10_000))
    assert verdict(clean).startswith("No copy was found among 10,000")
    blind = copying._replace(controls=copying.controls._replace(planted_found=90))
    assert "missed 10 of 100" in verdict(blind)


def test_another_shape_is_refused(detector: Detector) -> None:
    with pytest.raises(DataError, match="generated images are 16x16x3 and the training images 16x16x1"):
        audit([Batch(blobs(2, channels=3))], TRAIN, HELD_OUT, AVERAGES, detector=detector)


def test_no_images_are_refused(detector: Detector) -> None:
    with pytest.raises(DataError, match="no generated images"):
        audit([], TRAIN, HELD_OUT, AVERAGES, detector=detector)
