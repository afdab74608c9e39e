"""The page needs nothing but itself, says what the JSON says, and trusts no name."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from triptych.report import Entry, Heading, Report, write_report
from triptych.report.curves import HEIGHT, POINTS, WIDTH, binned, curves, ticks
from triptych.report.page import MEASURES

EVIL = "<script>alert(1)</script>\"'&"


class Elements(HTMLParser):
    """Each start tag with its attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def images(count: int = 6, channels: int = 1, height: int = 8, width: int = 8) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, height, width), dtype=torch.uint8, generator=draw)


def log(lines: int = 30) -> list[dict[str, float]]:
    clock = {"images_per_second": 640.0}
    return [
        {"seen": 64.0 * i, "seconds": 0.1 * i, "critic/loss": 1 / i, "critic/held_out": 2 / i, **clock}
        for i in range(1, lines + 1)
    ]


def entry(name: str = "one", **changes: object) -> Entry:
    plain = Entry(name, "family", "a paper, 2015", images(), log(), 3_576_704, 1920, 45.2, 42.5, 412_300_000)
    return plain._replace(milliseconds=0.125, sampler="steps 50")._replace(**changes)


def heading(data: str = "digits", real: torch.Tensor | None = None) -> Heading:
    real = images(4) if real is None else real
    date = datetime(2026, 3, 12, 14, 5, tzinfo=UTC)
    return Heading(data, "4 images", real, "45 s of training", "a machine", date, range(6))


@pytest.fixture
def report(tmp_path: Path) -> Report:
    failed = Entry(EVIL, "family", EVIL, failure=f"it broke: {EVIL}")
    return write_report([entry(), entry("two"), failed], tmp_path, heading(EVIL))


def test_the_page_stands_alone(report: Report) -> None:
    text = report.html.read_text(encoding="utf-8")
    page = Elements(text)
    assert not page.of("script")
    assert not page.of("link")
    assert not page.of("iframe")
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "url(" not in text
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert links
    assert all(value and value.startswith(("data:image/png;base64,", "#")) for value in links)
    assert any("default-src 'none'" in (meta.get("content") or "") for meta in page.of("meta"))


def test_the_pictures_in_the_page_are_the_images(report: Report) -> None:
    sources = [image["src"] or "" for image in Elements(report.html.read_text(encoding="utf-8")).of("img")]
    assert len(sources) == 4 + 6 + 6
    for source, expected in zip(sources[4:10], images(), strict=True):
        picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2], validate=True)))
        assert picture.format == "PNG"
        assert list(picture.tobytes()) == expected.flatten().tolist()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_every_number_of_channels_and_odd_sizes(tmp_path: Path, channels: int, mode: str) -> None:
    shown = images(5, channels, 13, 37)
    report = write_report([entry(images=shown)], tmp_path, heading(real=shown))
    sources = [image["src"] or "" for image in Elements(report.html.read_text(encoding="utf-8")).of("img")]
    picture = Image.open(io.BytesIO(base64.b64decode(sources[0].partition(",")[2])))
    assert (picture.mode, picture.size) == (mode, (37, 13))
    assert [path.name for path in report.pictures] == ["real.png", "model-one.png"]
    assert all(Image.open(io.BytesIO(path.read_bytes())).mode == mode for path in report.pictures)


def test_names_are_text_and_never_markup(report: Report) -> None:
    text = report.html.read_text(encoding="utf-8")
    assert "<script" not in text
    assert EVIL in Elements(text).text
    assert all(path.parent == report.html.parent for path in report.pictures)


def test_the_page_shows_the_numbers_of_the_json(report: Report) -> None:
    said = json.loads(report.json.read_text(encoding="utf-8"))
    assert said == report.facts
    page = Elements(report.html.read_text(encoding="utf-8"))
    cells = [cell["data-value"] for cell in page.of("td")]
    keys = [measure.key for measure in MEASURES]
    expected = ["" if model[key] is None else str(model[key]) for model in said["models"] for key in keys]
    assert cells == expected
    for words in (
        "3.58M",
        "45.2 s",
        "412 MB",
        "0.125",
        "steps 50",
        said["budget"],
        said["machine"],
        "12 March 2026",
    ):
        assert words in page.text


def test_a_failure_is_said_and_the_others_are_shown(report: Report) -> None:
    page = Elements(report.html.read_text(encoding="utf-8"))
    assert f"it broke: {EVIL}" in page.text
    assert report.facts["models"][2]["picture"] is None
    assert "Quality is not scored yet" in page.text


def test_everything_can_be_told_without_eyes_or_colour(report: Report) -> None:
    page = Elements(report.html.read_text(encoding="utf-8"))
    pictures = [attributes for _, attributes in page.tags if attributes.get("role") == "img"]
    assert len(pictures) == 3 + 2  # three bands of images, two curves
    assert all(attributes.get("aria-label") for attributes in pictures)
    assert len([line for line in page.of("polyline") if line["class"] == "held"]) == 2
    assert "prefers-color-scheme: dark" in report.html.read_text(encoding="utf-8")


def test_a_curve_keeps_its_frame_and_its_last_value() -> None:
    (curve,) = curves(log(1000))
    points = [tuple(map(float, point.split(","))) for point in curve.line.split()]
    assert len(points) == POINTS
    assert points[-1][0] == WIDTH
    assert all(0 <= y <= HEIGHT for _, y in points[POINTS // 10 :])
    assert curve.last == f"{sum(1 / i for i in range(991, 1001)) / 10:.3g}"
    assert "held-out" in curve.alt
    assert curve.seen == "64.0k"


def test_curves_leave_out_what_says_nothing() -> None:
    lines = [
        {"seen": 1.0 * i, "a/flat": 2.0, "a/broken": math.nan, "a/x": 1.0 * i, "a/loss": -1.0 * i} for i in (1, 2, 3)
    ]
    assert [curve.name for curve in curves(lines)] == ["loss", "x"]
    assert curves([]) == []
    assert curves(lines[:1]) == []


def test_bins_keep_every_value() -> None:
    pairs = [(float(i), float(i % 7)) for i in range(1, 1235)]
    bins = binned(pairs)
    assert len(bins) <= POINTS
    assert min(point.low for point in bins) == 0
    assert max(point.high for point in bins) == 6
    assert bins[-1].seen == 1234


@pytest.mark.parametrize("low", [-1500.0, -0.3, 0.0, 1e-6, 7.0])
@pytest.mark.parametrize("span", [1e-5, 0.013, 0.9, 1.0, 14.0, 5e4])
def test_ticks_are_few_round_and_inside(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 5
    assert all(low - 1e-9 <= value <= low + span + 1e-9 for value, _ in found)
    assert all(re.fullmatch(r"−?[0-9.]+k?", label) for _, label in found)
