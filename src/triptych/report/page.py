"""The comparison as one page that needs nothing but itself, as Markdown, as JSON, and as pictures.

`entries.py` is what goes in; `verdict.py` words it, `table.py`, `charts.py`, `strips.py` and
`curves.py` lay it out as plain values, and the template draws them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from triptych import pixels
from triptych.metrics.estimate import Estimate
from triptych.metrics.table import METRICS
from triptych.report import charts, curves, drawing, pictures, strips
from triptych.report.curves import signed
from triptych.report.entries import Entry, Heading, plain
from triptych.report.html import render
from triptych.report.markdown import readme
from triptych.report.standing import between, final, keys, main_key, ranked
from triptych.report.table import ABILITIES, BETTER, MEASURES, WORK, Row, measure_rows, score_rows
from triptych.report.verdict import Verdict, verdict
from triptych.words import join

SMOOTH = 48  # images with a side from here on are scaled smoothly, smaller ones keep their pixels square
ABOVE = 12  # units over a chart that stands alone, for what it shows
WIDE = 96  # images wider than this stand 8 in a row, others 16
UNSCORED = (
    "Quality is not scored yet: judge the pictures by eye, and do not read a lower loss as a better model, "
    "for each loss has a scale of its own."
)
CURVES = (
    "Curves: the line is the mean of neighbouring log lines, the band their range, and a dashed line the "
    "loss on held-out images. Each has axes of its own, and a steep start may leave its frame."
)
SEEDS = (
    "Over several training seeds a number is their mean, and its interval reaches from the lowest to the highest end "
    "of the seeds’ 95% bootstrap intervals; with one seed it is that seed’s. Models whose intervals touch are not "
    "told apart."
)
CHARTS = (
    ("Quality against training time", "learning", charts.learning),
    ("Quality against sampling time", "speed", charts.speed),
)


class Report(NamedTuple):
    """The files of a report, and what report.json holds."""

    html: Path
    json: Path
    pictures: list[Path]
    facts: dict[str, Any]
    markdown: Path


class Table(NamedTuple):
    """Rows of measures with the number of each one's footnote."""

    label: str
    beside: str  # the name of the last column
    rows: list[tuple[Row, int]]


def write_report(results: Sequence[Entry], folder: str | Path, heading: Heading) -> Report:
    """Write report.html, report.md, report.json, real.png, a PNG for each model with images, and the charts as SVG."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = pictures.names(results)
    images = {"real.png": heading.real} | {name: shown for index, name in files.items() if
                                           (shown := results[index].images) is not None}  # fmt: skip
    said, found = facts(results, heading), verdict(results)
    report = Report(
        html=folder / "report.html",
        json=folder / "report.json",
        pictures=[pixels.write_png(pixels.grid(shown), folder / name) for name, shown in images.items()],
        facts=said,
        markdown=folder / "report.md",
    )
    rows = [row for part in tables(results, heading) for row, _ in part.rows]
    report.json.write_text(json.dumps(said, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    drawings = write_charts(results, folder)
    report.markdown.write_text(readme(results, heading, found, rows, files, drawings), encoding="utf-8")
    report.html.write_text(page(results, heading, found), encoding="utf-8")
    return report


def write_charts(results: Sequence[Entry], folder: Path) -> dict[str, tuple[str, str]]:
    """Write the charts that there is something to draw for; their file names and descriptions by title."""
    found = {}
    for title, stem, make in CHARTS:
        for chart in make(results)[:1]:
            high = ABOVE + chart.shape.top + chart.shape.height + chart.shape.bottom
            values = {"chart": chart, "above": ABOVE, "height": high, "marks": drawing.MARKS}
            values["width"] = chart.shape.left + chart.shape.width + chart.room
            (folder / f"{stem}.svg").write_text(render("chart.svg", **values), encoding="utf-8")
            found[title] = f"{stem}.svg", chart.alt
    return found


def facts(results: Sequence[Entry], heading: Heading) -> dict[str, Any]:
    """What the page says, as plain values."""
    files = pictures.names(results)
    models = []
    for index, entry in enumerate(results):
        scores = [final(entry, key) for key in keys(results)]
        more = {"scores": [score for score in scores if score], "picture": files.get(index)}
        models.append(plain(entry._asdict() | more))
    shared: dict[str, Any] = plain(heading)
    return shared | {"picture": "real.png", **_concluded(verdict(results)), "models": models}


def _concluded(found: Verdict) -> dict[str, Any]:
    return {"score": found.score, "best": found.best, "verdict": list(found.sentences)}


def page(results: Sequence[Entry], heading: Heading, found: Verdict) -> str:
    """The whole page; every name in it is escaped by the template engine."""
    high, wide = heading.real.shape[-2:]
    real, *made = pictures.uris([heading.real, *(entry.images for entry in results)])
    shown, key = tables(results, heading), main_key(results)
    return render(
        "page.html",
        heading=heading,
        verdict=found,
        date=f"{heading.date.day} {heading.date:%B %Y}",
        models=join([entry.name for entry in results]),
        label=found.score,
        glance=glance(results, made),
        real=real,
        real_score=next((_said(s.estimate) for s in heading.real_scores if s.key == key and s.estimate), None),
        tables=shown,
        learning=charts.learning(results),
        speed=charts.speed(results),
        stability=strips.stability(results, key),
        classes=strips.classes(results),
        panels=[panel(entry, uris, index) for index, (entry, uris) in enumerate(zip(results, made, strict=True))],
        notes=notes(shown, heading, scored=found.score is not None),
        across=8 if wide > WIDE else 16,
        square_pixels=max(high, wide) < SMOOTH,
        alpha=pixels.has_alpha(heading.real.shape[1]),
        frame=(curves.WIDTH, curves.HEIGHT),
        marks=drawing.MARKS,
        arrows=BETTER,
        images_at_a_glance=pictures.GLANCE,
    )


def tables(results: Sequence[Entry], heading: Heading) -> tuple[Table, Table, Table]:
    """Scores; abilities and copies; costs: their footnotes are numbered on."""
    groups = (
        ("Scores", "real, held out", score_rows(results, heading, {metric.key: metric.about for metric in METRICS})),
        ("Abilities", "real, held out", measure_rows(results, ABILITIES, {"probe": heading.probe_of_pixels})),
        ("Costs", "", measure_rows(results, MEASURES) + measure_rows(results, WORK)),
    )
    found, number = [], 0
    for label, beside, rows in groups:
        numbered = []
        for row in rows:
            number += bool(row.note)
            numbered.append((row, number if row.note else 0))
        found.append(Table(label, beside if any(row.beside for row in rows) else "", numbered))
    return found[0], found[1], found[2]


def notes(shown: Sequence[Table], heading: Heading, scored: bool) -> list[str]:
    """The footnotes: first those of the tables' rows, in their numbers, then the rest."""
    numbered = [f"{row.label}: {row.note}" for part in shown for row, number in part.rows if number]
    rest = [SEEDS, heading.scored] if scored else [UNSCORED]
    return [*numbered, *(note for note in (*rest, CURVES, *heading.notes) if note)]


def glance(results: Sequence[Entry], made: Sequence[list[str]]) -> list[dict[str, Any]]:
    """The models, best first, with a few images and the score; those without a score at the end."""
    order = {place.name: (number, place) for number, place in enumerate(ranked(results, main_key(results)))}
    rows = []
    for index, entry in enumerate(results):
        number, place = order.get(entry.name, (len(results), None))
        images = made[index][: pictures.GLANCE]
        said = _said(place.estimate) if place else None
        shown = {"entry": entry, "style": index % drawing.STYLES, "images": images, "score": said}
        rows.append(shown | {"number": number})
    return sorted(rows, key=lambda row: row["number"])


def _said(estimate: Estimate) -> tuple[str, str]:
    """A value and its interval in words."""
    return signed(estimate.value), between(estimate)


def panel(entry: Entry, images: list[str], index: int) -> dict[str, Any]:
    """What the page shows of one model."""
    return {
        "entry": entry,
        "style": index % drawing.STYLES,
        "images": images,
        "of": 0 if entry.images is None else len(entry.images),
        "curves": curves.curves(entry.log),
    }
