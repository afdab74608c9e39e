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
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

import constructed
from constructed import images
from triptych.metrics.estimate import Score
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


def entry(name: str = "one", **changes: object) -> Entry:
    plain = Entry(name, "family", "a paper, 2015", images(6), log(), 3_576_704, 1920, 45.2, 42.5, 412_300_000)
    return plain._replace(milliseconds=0.125, sampler="steps 50")._replace(**changes)


def heading(data: str = "digits", real: torch.Tensor | None = None) -> Heading:
    real = images(4, seed=1) if real is None else real
    date = datetime(2026, 3, 12, 14, 5, tzinfo=UTC)
    return Heading(data, "4 images", real, "45 s of training", "a machine", date, range(6))


def log(lines: int = 30) -> list[dict[str, float]]:
    clock = {"images_per_second": 640.0}
    return [
        {"seen": 64.0 * i, "seconds": 0.1 * i, "critic/loss": 1 / i, "critic/held_out": 2 / i, **clock}
        for i in range(1, lines + 1)
    ]


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
    assert len(sources) == 6 + 6 + 4 + 4 + 6 + 6  # at a glance, then real and each model's own
    for source, expected in zip(sources[20:26], images(6), strict=True):
        picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2], validate=True)))
        assert picture.format == "PNG"
        assert list(picture.tobytes()) == expected.flatten().tolist()


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_every_number_of_channels_and_odd_sizes(tmp_path: Path, channels: int, mode: str) -> None:
    shown = images(5, channels, 37)[:, :, :13]
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
    cells = [cell["data-value"] for cell in page.of("td") if "data-value" in cell]
    keys = [measure.key for measure in MEASURES]
    expected = ["" if model[key] is None else str(model[key]) for key in keys for model in said["models"]]
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
    assert len(pictures) == 3 + 3 + 2  # three bands of images, at a glance and whole; two curves
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


@pytest.fixture
def scored(tmp_path: Path) -> Report:
    return write_report(constructed.entries(), tmp_path, constructed.heading())


def test_scores_stand_in_the_table_with_their_intervals(scored: Report) -> None:
    page = Elements(scored.html.read_text(encoding="utf-8"))
    rows = [row["data-key"] for row in page.of("tr") if "data-key" in row]
    assert rows[:7] == [key for key, *_ in constructed.LABELS]
    assert rows[7:12] == ["copies", "psnr", "ssim", "probe", "bits"]
    cells = [cell for cell in page.of("td") if "data-value" in cell]
    assert [float(cell["data-value"] or "nan") for cell in cells[:3]] == pytest.approx([37.033, 58.467, 15.6], abs=1e-3)
    assert [cell["class"] for cell in cells[:3]] == ["s0", "s1", "s2 best"]
    assert "15.6 14.6–16.9" in " ".join(page.text.split())  # 15.1 less 3%, 16.4 and 3%
    assert "2.40 2.33–2.47" in " ".join(page.text.split())  # real images


def test_the_json_holds_everything(scored: Report) -> None:
    said = json.loads(scored.json.read_text(encoding="utf-8"))
    assert said == scored.facts
    assert (said["score"], said["best"], len(said["verdict"])) == ("FD-bundled", "patient", 3)
    model = said["models"][2]
    assert [trial["scores"][0]["estimate"]["value"] for trial in model["trials"]] == [15.1, 16.4, 15.3]
    assert model["scores"][0]["estimate"]["value"] == pytest.approx(15.6)
    assert model["speeds"][0]["words"] == "steps 1"
    assert model["classes"][0] == {"name": "zero", "share": 0.1, "real_share": 0.1, "coverage": 0.86}
    assert model["copies"]["per_10_000"] == 40
    assert len(model["trials"][0]["curve"]) == 12
    assert said["probe_of_pixels"]["value"] == 0.951
    assert [score["key"] for score in said["real_scores"]] == [key for key, *_ in constructed.LABELS]


def test_what_is_not_finite_is_null_in_the_json(tmp_path: Path) -> None:
    broken = constructed.entries()[0]._replace(energy=math.inf)
    report = write_report([broken], tmp_path, constructed.heading())
    assert json.loads(report.json.read_text(encoding="utf-8"))["models"][0]["energy"] is None


def test_every_footnote_is_there_and_numbered(scored: Report) -> None:
    page = Elements(scored.html.read_text(encoding="utf-8"))
    asked = [link["href"] for link in page.of("a")]
    assert asked == [f"#note{number}" for number in range(1, len(asked) + 1)]
    there = {item.get("id") for item in page.of("li")}
    assert {href[1:] for href in asked if href} <= there
    assert constructed.heading().scored in page.text
    assert "the time of scoring is not counted" in page.text


def test_a_refused_score_says_why(tmp_path: Path) -> None:
    (first, *_) = constructed.entries()
    refused = Score("kid", "KD-bundled", "lower", None, "it needs 50 images and has 12.")
    trial = first.trials[0]._replace(scores=[*first.trials[0].scores[:1], refused])
    report = write_report([first._replace(trials=[trial])], tmp_path, constructed.heading(real_scores=()))
    text = " ".join(Elements(report.html.read_text(encoding="utf-8")).text.split())
    assert "– refused" in text
    assert "it needs 50 images and has 12." in text


def test_markdown_for_a_readme(scored: Report) -> None:
    text = scored.markdown.read_text(encoding="utf-8")
    assert text.startswith("# digits\n")
    assert f"- {scored.facts['verdict'][0].replace('-', chr(92) + '-').split(':')[0]}" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[0] == "|  | rapid | encoding | patient | real, held out |"
    assert {line.count("|") for line in table} == {6}
    for name in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text):
        assert (scored.markdown.parent / name).is_file()
    assert text.count("](") == 6  # real images, three models, two charts


def test_charts_are_pictures_too(scored: Report) -> None:
    for stem in ("learning", "speed"):
        drawing = scored.markdown.parent / f"{stem}.svg"
        root = ElementTree.fromstring(drawing.read_text(encoding="utf-8"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert {"rapid", "patient"} <= {part.text for part in root.iter() if part.tag.endswith("}text")}
        assert not [part for part in root.iter() if any("href" in name for name in part.attrib)]
        assert not {part.tag.partition("}")[2] for part in root.iter()} & {"script", "image", "foreignObject"}


def test_hostile_names_do_not_leave_their_place_in_markdown(tmp_path: Path) -> None:
    evil = "a|b](http://x) <img src=x> `c`\n# d [e"
    named = constructed.entries()[0]._replace(name=evil, classes=[])
    text = write_report([named], tmp_path, constructed.heading(data=evil)).markdown.read_text(encoding="utf-8")
    assert "<img" not in text
    assert len(re.findall(r"^#+ ", text, re.MULTILINE)) == 5  # title, two charts, pictures, how
    assert re.findall(r"(?<!\\)\]\(", text) == ["]("] * 4  # the two charts, the two pictures
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")} == {4}


def test_names_that_make_one_file_name_get_two(tmp_path: Path) -> None:
    report = write_report([entry("a b"), entry("a-b"), entry("A B")], tmp_path, heading())
    assert len({path.name.lower() for path in report.pictures}) == 4
    assert all(path.is_file() for path in report.pictures)


def test_a_large_page_stays_small(tmp_path: Path) -> None:
    """Noise is the worst that a PNG can hold: what does not fit stays beside the page."""
    noise = [images(64, 4, 64, seed) for seed in range(5)]
    results = [entry(f"model {number}", images=made, log=()) for number, made in enumerate(noise)]
    report = write_report(results, tmp_path, heading(real=images(32, 4, 64, 9)))
    assert report.html.stat().st_size < 3_000_000
    shown = len(Elements(report.html.read_text(encoding="utf-8")).of("img"))
    assert shown == 6 * 8 + 6 * 8
    assert "The first 8 of 64" in report.html.read_text(encoding="utf-8")
    with Image.open(tmp_path / "model-model-0.png") as picture:
        assert picture.height > 8 * 64  # all 64 are there


def test_images_far_larger_than_drawn_are_halved(tmp_path: Path) -> None:
    flat = torch.full((4, 3, 640, 320), 200, dtype=torch.uint8)
    report = write_report([entry(images=flat)], tmp_path, heading(real=flat))
    source = Elements(report.html.read_text(encoding="utf-8")).of("img")[0]["src"] or ""
    picture = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert picture.size == (80, 160)
    assert picture.getcolors() == [(80 * 160, (200, 200, 200))]
