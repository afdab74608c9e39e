"""The page of `evaluate`: scores with their intervals, images, the worst and the best, classes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from triptych import pixels
from triptych.core import Source
from triptych.data.arrays import ArraySource
from triptych.errors import ResourceError
from triptych.evaluation import Evaluated, Judgement, Skills, even
from triptych.leaks.audit import Audit
from triptych.leaks.sheet import sheet
from triptych.metrics.estimate import Estimate, Score
from triptych.metrics.table import METRICS
from triptych.report.curves import signed
from triptych.report.entries import plain
from triptych.report.html import data_uri, render

SHOWN = 64  # images of each side
LARGEST = 96  # px of an image's longer side on the page
SMALL = 48  # px up to which many images stand in a row, their pixels square
SIDES = {"train": "the training images", "validation": "the held-out images", "everything": "all images"}
OF_AUDIT = ("Copies", "Copies by class", "Detector", "Thresholds")  # lines of the data sheet
DASH = "\N{EN DASH}"
SKILLS = {
    "probe": ("linear probe on the features", "accuracy"),
    "probe_of_pixels": ("linear probe on bare pixels", "accuracy"),
    "psnr": ("PSNR of reconstructions", "dB"),
    "ssim": ("SSIM of reconstructions", ""),
    "bits": ("likelihood", "bits/dim"),
}


def write_evaluation(found: Evaluated, images: Source, real: Source, audit: Audit | None = None) -> None:
    """Write the page and the JSON to where `found` says; `images` and `real` are the two sides.

    Raises a `ResourceError` where that cannot be written.
    """
    date = datetime.now().astimezone()
    facts = {**plain(found), "date": date.isoformat(timespec="seconds")}
    place = Path(found.page)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        Path(found.json).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        place.write_text(page(found, images, real, audit, date), encoding="utf-8")
    except OSError as error:
        raise ResourceError(f"{place} cannot be written ({error}); give another -o.") from error


def page(found: Evaluated, images: Source, real: Source, audit: Audit | None, date: datetime) -> str:
    """The whole page; every name in it is escaped by the template engine."""
    first = found.judgements[0]
    channels, height, width = images.image_shape
    across = 16 if width <= SMALL else 8
    return render(
        "evaluation.html",
        found=found,
        first=first,
        side=SIDES[first.setting.split],
        date=date,
        shape=f"{height} × {width}",
        blocks=[block(judgement) for judgement in found.judgements],
        about=[(metric.label, metric.about) for metric in METRICS],
        skills=skill_rows(found.skills) if found.skills else [],
        classes=class_rows(first),
        made=pictures(images, even(images, SHOWN)),
        real=pictures(real, even(real, SHOWN)),
        worst=pictures(images, first.worst),
        best=pictures(images, first.best),
        audit=[line for line in sheet(audit) if line.label in OF_AUDIT] if audit else [],
        pairs=pair_pictures(audit) if audit else [],
        across=across,
        ends=12 if across == 16 else 8,
        square_pixels=max(height, width) < SMALL,
        alpha=pixels.has_alpha(channels),
    )


def worded(estimate: Estimate | None) -> tuple[str, str]:
    """A number and its interval in words."""
    if estimate is None:
        return DASH, ""
    low, high = (signed(part) if math.isfinite(part) else "∞" for part in estimate[1:])
    return (signed(estimate.value) if math.isfinite(estimate.value) else "∞"), f"{low} to {high}"


def block(judgement: Judgement) -> dict[str, Any]:
    """One extractor's table."""
    beside = {score.key: score for score in judgement.held_out}
    rows = [row(score, beside.get(score.key)) for score in judgement.scores]
    return {"setting": judgement.setting, "words": judgement.setting.words(), "rows": rows}


def row(score: Score, held_out: Score | None) -> dict[str, Any]:
    """One metric of the table."""
    value, interval = worded(score.estimate)
    return {
        "score": score,
        "value": value,
        "interval": interval,
        "held_out": worded(held_out.estimate)[0] if held_out else "",
    }


def skill_rows(skills: Skills) -> list[tuple[str, str, str]]:
    """What could be measured of a model's other skills: label with unit, value, interval."""
    rows = []
    for key, (label, unit) in SKILLS.items():
        estimate: Estimate | None = getattr(skills, key)
        if estimate is not None:
            unit = f"{unit}, {skills.bits_are}" if key == "bits" else unit
            rows.append((f"{label} ({unit})" if unit else label, *worded(estimate)))
    return rows


def class_rows(judgement: Judgement) -> list[dict[str, Any]]:
    """Each class with its kernel distance in words."""
    rows = []
    for one in judgement.classes:
        kernel = judgement.kernels.get(one.name)
        rows.append({"row": one, "kernel": worded(kernel.estimate)[0] if kernel else ""})
    return rows


def pictures(source: Source, rows: Sequence[int]) -> list[str]:
    """Images at these positions as data URIs, no larger than the page needs."""
    if not rows:
        return []
    images = source.read(rows).images
    scale = LARGEST / max(images.shape[2:])
    if scale < 1:
        sides = [max(1, round(scale * side)) for side in images.shape[2:]]
        smaller, _ = ArraySource(images.numpy()).refitted((sides[0], sides[1]), None, "stretch")
        images = smaller.read(range(len(rows))).images
    return [data_uri(image) for image in images]


def pair_pictures(audit: Audit) -> list[str]:
    """The worst pairs: all generated images, then the training image that each is nearest to."""
    pairs = ArraySource(
        torch.stack([*(pair.made for pair in audit.pairs), *(pair.real for pair in audit.pairs)]).numpy()
    )
    return pictures(pairs, range(len(pairs)))
