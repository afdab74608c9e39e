"""How long an image takes, and how much quality the model's speed knob costs."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch import Tensor

from triptych.comparison.ground import LIMIT, Ground
from triptych.core import Model
from triptych.devices import synchronise
from triptych.evaluation import summarise
from triptych.metrics.estimate import Score
from triptych.metrics.table import scores
from triptych.report.entries import Speed
from triptych.sampling import choices, generate

TIMED = 64  # images in a batch when sampling is timed
KNOB = "steps"  # the word of a model's `sample` that trades quality for speed
FRACTIONS = (0.1, 0.2, 0.5)  # of the knob's usual value


def sampled(model: Model, number: int, **how: Any) -> tuple[Tensor, float]:
    """uint8 images of seeds 0 to number - 1, and the median milliseconds an image in batches of 64.

    Making the images warms up; repeats of one batch then fill about a second.
    """
    images = [batch.images for batch in generate(model, range(max(number, TIMED)), batch=TIMED, **how)]
    device = next(model.parameters()).device
    times: list[float] = []
    while sum(times) < 1:
        start = time.perf_counter()
        for _ in generate(model, range(TIMED), batch=TIMED, **how):
            synchronise(device)
        times.append(time.perf_counter() - start)
    return torch.cat(images)[:number], 1000 * statistics.median(times) / TIMED


def speeds(model: Model, milliseconds: float, score: Score, ground: Ground) -> list[Speed]:
    """The score at faster settings of the knob, beside that at the usual one, which is known.

    A model without a knob has that single point; settings that would take over a minute are left out.
    """
    usual = _usual(model)
    if usual is None:
        return [Speed("", milliseconds, score)]
    found = []
    for value in sorted({max(1, round(usual * fraction)) for fraction in FRACTIONS} - {usual}):
        if milliseconds * value / usual * ground.images <= 1000 * LIMIT:
            how: dict[str, Any] = {KNOB: value}
            _, cost = sampled(model, 1, **how)
            made = summarise(generate(model, range(ground.images), batch=128, **how), ground.look)
            found.append(Speed(f"{KNOB} {value}", cost, scores(ground.real, made, [score.key])[0]))
    return [*found, Speed(f"{KNOB} {usual}", milliseconds, score)]


def _usual(model: Model) -> int | None:
    """The knob's usual value; None where there is no knob."""
    knob = choices(model).get(KNOB)
    return None if knob is None else int(knob)


def told(model: Model) -> str:
    """How a model samples, by the choices that its `sample` offers: "sampler ddim, steps 50"."""
    return ", ".join(f"{name} {value}" for name, value in choices(model).items() if isinstance(value, (str, int)))
