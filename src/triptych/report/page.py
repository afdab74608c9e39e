"""The comparison as one page that needs nothing but itself, as JSON, and as PNGs.

A number that the page shows stands once: as a field of `Entry`, with its label, its words and how
it was measured in `MEASURES`; the table, the panels, the footnotes and the JSON all follow from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from triptych import pixels
from triptych.quantities import clock
from triptych.report.curves import HEIGHT, WIDTH, curves
from triptych.report.html import data_uri, render
from triptych.words import join, short, size

SMOOTH = 48  # images with a side from here on are scaled smoothly, smaller ones keep their pixels square
WIDE = 96  # images wider than this stand 8 in a row, others 16


class Entry(NamedTuple):
    """One model of a comparison; numbers that could not be had are None."""

    name: str
    family: str
    paper: str
    images: Tensor | None = None  # uint8 (N, C, H, W), one for each seed
    log: Sequence[Mapping[str, float]] = ()  # the lines of metrics.jsonl
    parameters: int | None = None
    seen: int | None = None
    seconds: float | None = None
    images_per_second: float | None = None
    peak_memory: int | None = None  # bytes
    memory_of: str = "process"  # or "device"
    milliseconds: float | None = None  # for one image when sampling
    sampler: str = ""  # the model's own words on how it samples
    failure: str = ""  # why there is nothing to show, or not all


class Heading(NamedTuple):
    """What all entries share."""

    data: str
    about: str  # the data in a few words: how many, how large, how many classes
    real: Tensor  # uint8 (N, C, H, W)
    budget: str  # "45 s of training"
    machine: str
    date: datetime
    seeds: range
    notes: Sequence[str] = ()  # more footnotes


class Measure(NamedTuple):
    """A number of each entry: how it is called, worded and measured."""

    key: str
    label: str
    words: Callable[[float], str]
    note: str


MEASURES = (
    Measure(
        "parameters",
        "parameters",
        short,
        "Numbers that the model has learned; what only its training needs, such as a critic, is not counted.",
    ),
    Measure("seen", "images seen", short, "Training images shown to the model, repeats included."),
    Measure(
        "seconds",
        "training time",
        lambda value: f"{short(value)} s" if value < 60 else clock(value),
        "Time in training steps, over all starts of a run; start-up, pictures and checkpoints are left out.",
    ),
    Measure("images_per_second", "training images/s", short, "Images seen, divided by training time."),
    Measure(
        "peak_memory",
        "peak memory",
        size,
        "The most memory that training held: of the graphics device where there is one, else of the whole "
        "process. Each model trained in a process of its own.",
    ),
    Measure(
        "milliseconds",
        "sampling, ms/image",
        short,
        "After a warm-up, the median time of a batch of 64 images from noise to 8-bit pixels, divided by 64.",
    ),
)
UNSCORED = (
    "Quality is not scored yet: judge the pictures by eye, and do not read a lower loss as a better model, "
    "for each loss has a scale of its own."
)
CURVES = (
    "Curves: the line is the mean of neighbouring log lines, the band their range, and a dashed line the "
    "loss on held-out images. Each has axes of its own, and a steep start may leave its frame."
)


class Report(NamedTuple):
    """The files of a report, and what report.json holds."""

    html: Path
    json: Path
    pictures: list[Path]
    facts: dict[str, Any]


def write_report(results: Sequence[Entry], folder: str | Path, heading: Heading) -> Report:
    """Write report.html, report.json, real.png and one PNG for each model with images."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    images = {"real.png": heading.real} | {picture(e): e.images for e in results if e.images is not None}
    pictures = [pixels.write_png(pixels.grid(shown), folder / name) for name, shown in images.items()]
    said = facts(results, heading)
    report = Report(folder / "report.html", folder / "report.json", pictures, said)
    report.json.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    report.html.write_text(page(results, heading), encoding="utf-8")
    return report


def picture(entry: Entry) -> str:
    """The file name of a model's grid; models are named by people, files are not."""
    return "model-" + re.sub(r"[^\w.-]+", "-", entry.name) + ".png"


def facts(results: Sequence[Entry], heading: Heading) -> dict[str, Any]:
    """What the page says, as plain values."""
    models = []
    for entry in results:
        values = entry._asdict() | {"picture": None if entry.images is None else picture(entry)}
        models.append({key: value for key, value in values.items() if key not in ("images", "log")})
    return {
        "data": heading.data,
        "about": heading.about,
        "budget": heading.budget,
        "machine": heading.machine,
        "date": heading.date.isoformat(timespec="seconds"),
        "seeds": [heading.seeds.start, heading.seeds.stop - 1],
        "picture": "real.png",
        "models": models,
    }


def page(results: Sequence[Entry], heading: Heading) -> str:
    """The whole page; every name in it is escaped by the template engine."""
    high, wide = heading.real.shape[-2:]
    return render(
        "page.html",
        heading=heading,
        date=f"{heading.date.day} {heading.date:%B %Y}",
        models=join([entry.name for entry in results]),
        panels=[panel(entry) for entry in results],
        rows=rows(results),
        measures=MEASURES,
        notes=[*(measure.note for measure in MEASURES), CURVES, *heading.notes, UNSCORED],
        real=[data_uri(image) for image in heading.real],
        across=8 if wide > WIDE else 16,
        square_pixels=max(high, wide) < SMOOTH,
        alpha=pixels.has_alpha(heading.real.shape[1]),
        frame=(WIDTH, HEIGHT),
    )


def rows(results: Sequence[Entry]) -> list[dict[str, Any]]:
    """The table: each entry's cells with the length of a bar, as a share of the column's largest."""
    largest = {m.key: max((getattr(e, m.key) or 0 for e in results), default=0) for m in MEASURES}
    return [{"entry": e, "cells": [cell(e, m, largest[m.key]) for m in MEASURES]} for e in results]


def cell(entry: Entry, measure: Measure, largest: float) -> dict[str, Any]:
    """One number: its value, its words and its bar's share in [0, 1]."""
    value = getattr(entry, measure.key)
    if value is None:
        return {"label": measure.label, "value": "", "words": "\N{EN DASH}", "share": 0}
    share = round(value / largest, 3) if largest else 0
    return {"label": measure.label, "value": value, "words": measure.words(value), "share": share}


def panel(entry: Entry) -> dict[str, Any]:
    """What the page shows of one model."""
    return {
        "entry": entry,
        "facts": [cell(entry, measure, 0) for measure in MEASURES],
        "images": [data_uri(image) for image in entry.images] if entry.images is not None else [],
        "curves": curves(entry.log),
    }
