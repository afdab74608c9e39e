"""The tables of a comparison: each measure is a row, each model a column.

A number that the page shows stands once: as a field of `Entry` or as a score of its trials, with its
label, its words and how it was measured; tables, footnotes, Markdown and JSON all follow from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from triptych.metrics.estimate import Estimate, Score
from triptych.quantities import clock
from triptych.report.curves import signed
from triptych.report.entries import Copies, Entry, Heading
from triptych.report.standing import between, final, keys, known, scores_of
from triptych.words import short, size

NONE = "\N{EN DASH}"
BETTER = {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}", "": ""}


class Measure(NamedTuple):
    """A number of each entry: how it is called, worded and measured, and which end of it is better."""

    key: str
    label: str
    words: Callable[[float], str]
    note: str
    better: str = ""


class Cell(NamedTuple):
    """One number of one model."""

    value: float | None
    words: str
    interval: str = ""
    aside: str = ""  # what to know of it
    share: float = 0  # of the row's largest, for a bar
    best: bool = False


class Row(NamedTuple):
    """One measure of all models."""

    key: str
    label: str
    better: str
    note: str
    cells: list[Cell]
    beside: Cell | None  # the same of real images


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


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
        "Time in training steps, over all starts of a run; start-up, scoring, pictures and checkpoints are left out.",
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
        "lower",
    ),
)
WORK = (
    Measure(
        "training_flops",
        "training, FLOPs/image",
        short,
        "Floating-point operations for one training image, all turns and both passes.",
    ),
    Measure("sampling_flops", "sampling, FLOPs/image", short, "Floating-point operations for one generated image."),
    Measure("energy", "training energy, J", short, "What the device's own counter says of the training.", "lower"),
)
ABILITIES = (
    Measure(
        "copies",
        "copies in 10,000",
        signed,
        "Generated images nearer to a training image than held-out images are, at a threshold that takes 1% of "
        "those for copies: about 100 in 10,000 is no sign of copying.",
        "lower",
    ),
    Measure("psnr", "PSNR, dB", signed, "Reconstruction: held-out images encoded and decoded, against themselves.",
            "higher"),
    Measure("ssim", "SSIM", signed, "Structural similarity of the same pairs.", "higher"),
    Measure(
        "probe",
        "linear probe",
        percent,
        "Accuracy on held-out images of a linear classifier on the model's features; beside it, on bare pixels.",
        "higher",
    ),
    Measure(
        "bits",
        "bits/dim",
        signed,
        "Negative log-likelihood of held-out 8-bit images, per pixel and channel; a bound is an upper bound.",
        "lower",
    ),
)  # fmt: skip


def score_rows(results: Sequence[Entry], heading: Heading, about: Mapping[str, str]) -> list[Row]:
    """A row for each score, with that of held-out real images beside it; `about` says what each key measures."""
    real = {score.key: score for score in heading.real_scores}
    rows = []
    for key in keys(results, heading.real_scores):
        scores = [final(entry, key) for entry in results]
        named = next(score for score in [*scores, real.get(key)] if score)
        values = [score.estimate if known(score) and score else None for score in scores]
        cells = _cells(values, signed, named.better, [_why(score) for score in scores])
        beside = _cell(real[key].estimate, signed, "") if key in real else None
        notes = {entry.name: score.note for entry in results for score in scores_of(entry, key).values() if score.note}
        rows.append(Row(key, named.label, named.better, _note(about.get(key, ""), notes), cells, beside))
    return rows


def measure_rows(results: Sequence[Entry], measures: Sequence[Measure],
                 beside: Mapping[str, Estimate | None] | None = None) -> list[Row]:  # fmt: skip
    """A row for each measure that any model has."""
    rows = []
    for measure in measures:
        values = [value_of(entry, measure.key) for entry in results]
        real = (beside or {}).get(measure.key)
        if any(value is not None for value in values):
            asides = [entry.bits_are if measure.key == "bits" else "" for entry in results]
            cells = _cells(values, measure.words, measure.better, asides)
            side = _cell(real, measure.words, "bare pixels") if real else None
            rows.append(Row(measure.key, measure.label, measure.better, measure.note, cells, side))
    return rows


def value_of(entry: Entry, key: str) -> float | Estimate | None:
    """A field of an entry as a number, with its interval where it has one."""
    value = getattr(entry, key)
    if isinstance(value, Copies):
        return Estimate(value.per_10_000, value.low, value.high)
    found: float | Estimate | None = value
    number = middle(found)
    return found if number is not None and math.isfinite(number) else None


def middle(value: float | Estimate | None) -> float | None:
    return value.value if isinstance(value, Estimate) else value


def _cells(values: Sequence[float | Estimate | None], words: Callable[[float], str], better: str,
           asides: Sequence[str]) -> list[Cell]:  # fmt: skip
    """The cells of a row, the best one marked where there is a choice."""
    found = [number for value in values if (number := middle(value)) is not None]
    largest = max((abs(number) for number in found), default=0)
    best = {"lower": min, "higher": max}[better](found) if better and len(found) > 1 else None
    cells = []
    for value, aside in zip(values, asides, strict=True):
        cell, number = _cell(value, words, aside), middle(value)
        share = round(abs(number) / largest, 3) if number is not None and largest else 0
        cells.append(cell._replace(share=share, best=number is not None and number == best))
    return cells


def _cell(value: float | Estimate | None, words: Callable[[float], str], aside: str) -> Cell:
    """A value in words, with its interval and what to know of it."""
    number = middle(value)
    if number is None:
        return Cell(None, NONE, aside=aside)
    spread = between(value, words) if isinstance(value, Estimate) and value.low < value.high else ""
    return Cell(number, words(number), spread, aside)


def _why(score: Score | None) -> str:
    return "refused" if score and not known(score) else ""


def _note(about: str, notes: Mapping[str, str]) -> str:
    """What a score measures, and what to know of its values here."""
    said = next(iter(notes.values())) if len(set(notes.values())) == 1 else ""
    each = said or "; ".join(f"{name}: {note}" for name, note in notes.items())
    return " ".join(filter(None, (about, each)))
