"""Two charts of quality: against the time of training, and against the time of one image.

Here it is decided what they show; `drawing.py` draws it. Where a lower score is better, lower is better
in the chart too.
"""

from __future__ import annotations

from collections.abc import Sequence

from triptych.metrics.estimate import Score
from triptych.report.drawing import STYLES, Chart, Series, drawn
from triptych.report.entries import IN_LOOP, Entry, Point, Trial
from triptych.report.standing import final, known, main_key

UNITS = ((3600.0, 4 * 3600.0, "hours"), (60.0, 600.0, "minutes"), (1.0, 0.0, "seconds"))  # size, from where, name


def learning(results: Sequence[Entry]) -> list[Chart]:
    """The score in the loop against the time of training: the mean over seeds, and their range."""
    spans = [trial.curve[-1].seconds for entry in results for trial in entry.trials if trial.curve]
    scale, _, unit = next(found for found in UNITS if max(spans, default=0) >= found[1])
    series = [one for index, entry in enumerate(results) if (one := _learnt(entry, index, scale))]
    return drawn(series, (f"{unit} of training", f"{IN_LOOP}, lower is better"), log=False)


def speed(results: Sequence[Entry]) -> list[Chart]:
    """The main score against milliseconds an image: each model's settings, or the model as one point."""
    key = main_key(results)
    series = [one for index, entry in enumerate(results) if key and (one := _timed(entry, index, key))]
    score = next((score for entry in results if key and (score := known(final(entry, key)))), None)
    title = f"{score.label}, {score.better} is better" if score else ""
    return drawn(series, ("milliseconds an image", title), log=True)


def _learnt(entry: Entry, index: int, scale: float) -> Series | None:
    """The curve of one model over its seeds; trials that failed count only where all did."""
    curves = [trial.curve for trial in _lasting(entry.trials)]
    if not curves:
        return None
    start, end = max(curve[0].seconds for curve in curves), min(curve[-1].seconds for curve in curves)
    times = sorted({point.seconds for curve in curves for point in curve if start <= point.seconds <= end})
    values = [[_at(curve, time) for curve in curves] for time in times]
    points = [(time / scale, sum(row) / len(row)) for time, row in zip(times, values, strict=True)]
    band = [(min(row), max(row)) for row in values] if len(curves) > 1 else []
    return Series(entry.name, index % STYLES, points, band) if points else None


def _lasting(trials: Sequence[Trial]) -> list[Trial]:
    with_curves = [trial for trial in trials if trial.curve]
    return [trial for trial in with_curves if not trial.failure] or with_curves


def _at(curve: Sequence[Point], time: float) -> float:
    """The value at that time, on the straight line between its neighbours."""
    before = max((point for point in curve if point.seconds <= time), key=lambda point: point.seconds)
    after = min((point for point in curve if point.seconds >= time), key=lambda point: point.seconds)
    share = (time - before.seconds) / (after.seconds - before.seconds) if after.seconds > before.seconds else 0
    return before.value + share * (after.value - before.value)


def _timed(entry: Entry, index: int, key: str) -> Series | None:
    """The settings of one model that have a score, fastest first."""
    own = [(entry.milliseconds, final(entry, key), "")] if entry.milliseconds and not entry.speeds else []
    settings: list[tuple[float, Score | None, str]] = [(s.milliseconds, s.score, s.words) for s in entry.speeds] + own
    found = [(ms, score.estimate, words) for ms, score, words in settings if known(score) and score and score.estimate]
    found.sort(key=lambda one: one[0])
    points, band = [(ms, e.value) for ms, e, _ in found], [(e.low, e.high) for _, e, _ in found]
    words = [words for _, _, words in found]
    return Series(entry.name, index % STYLES, points, band, words, True) if points else None
