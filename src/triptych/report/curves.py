"""Training logs as small curves: which numbers, which frame, which points. The page draws them.

Each curve has a frame of its own, for losses of different models do not share a scale. A frame is
WIDTH x HEIGHT units, y downwards. The line is the mean of neighbouring log lines, the band their
range; what leaves the frame (the first moments of a loss that falls far) is cut. Where a number is
also measured on held-out images, that is a second, dashed line in the same frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from triptych.words import short

WIDTH, HEIGHT = 168.0, 80.0
POINTS = 100  # a curve has at most so many
HELD_OUT = "held_out"  # the loss of a turn on images that are never trained on
CLOCKS = ("seen", "seconds", "images_per_second")  # columns of the log that are no losses
HEADROOM = 0.06  # of the range, above and below


class Bin(NamedTuple):
    """Neighbouring log lines as one point."""

    seen: float
    low: float
    mean: float
    high: float


class Curve(NamedTuple):
    """What the page needs in order to draw one number over images seen."""

    turn: str
    name: str
    line: str  # "x,y x,y ..." for a polyline
    band: str  # the same for the polygon of the range
    dashed: str  # the same for the held-out line; "" where there is none
    held_out: str  # its last value
    ticks: tuple[tuple[float, str], ...]  # (y, label)
    end: tuple[float, float]  # the last point
    last: str  # its value
    seen: str  # images seen at the right edge
    alt: str  # the curve in a sentence


def curves(log: Sequence[Mapping[str, float]], most: int = 6) -> list[Curve]:
    """The first `most` numbers of a log that move, losses before the rest."""
    keys = dict.fromkeys(key for line in log for key in line if key not in CLOCKS)
    shown = [key for key in keys if _split(key)[1] != HELD_OUT]
    drawn = (curve(key, log) for key in sorted(shown, key=lambda key: _split(key)[1] != "loss"))
    return [found for found in drawn if found is not None][:most]


def curve(key: str, log: Sequence[Mapping[str, float]]) -> Curve | None:
    """One number of a log; None where it has fewer than two values or never moves."""
    turn, name = _split(key)
    pairs = _pairs(key, log)
    if len(pairs) < 2 or len({value for _, value in pairs}) < 2:
        return None
    held = _pairs(f"{turn}/{HELD_OUT}", log) if name == "loss" else []
    held = held if len(held) > 1 else []
    bins, words, seen = binned(pairs), name.replace("_", " "), pairs[-1][0]
    low, high = frame([point.mean for point in bins], [value for _, value in held])

    def at(x: float, y: float) -> tuple[float, float]:
        return round(WIDTH * x / seen, 1), round(HEIGHT * (high - y) / (high - low), 1)

    upper = [at(point.seen, point.high) for point in bins]
    lower = [at(point.seen, point.low) for point in reversed(bins)]
    first, last, kept = signed(bins[0].mean), signed(bins[-1].mean), signed(held[-1][1]) if held else ""
    return Curve(
        turn=turn,
        name=words,
        line=_points([at(point.seen, point.mean) for point in bins]),
        band=_points(upper + lower),
        dashed=_points([at(x, y) for x, y in held]),
        held_out=kept,
        ticks=tuple((at(0, value)[1], label) for value, label in ticks(low, high)),
        end=at(bins[-1].seen, min(max(bins[-1].mean, low), high)),
        last=last,
        seen=short(seen),
        alt=f"{turn} {words} over {short(seen)} images seen: from {first} to {last}"
        + (f"; on held-out images {kept} at last" if kept else ""),
    )


def binned(pairs: Sequence[tuple[float, float]]) -> list[Bin]:
    """At most POINTS means of equally many neighbours, with their range."""
    step = math.ceil(len(pairs) / POINTS)
    parts = [pairs[start : start + step] for start in range(0, len(pairs), step)]
    values = [[value for _, value in part] for part in parts]
    return [Bin(part[-1][0], min(vs), sum(vs) / len(vs), max(vs)) for part, vs in zip(parts, values, strict=True)]


def frame(*lines: Sequence[float]) -> tuple[float, float]:
    """The range to show: all but the first tenth of each line decide, so that a steep start hides nothing."""
    settled = [value for line in lines for value in line[len(line) // 10 :]]
    low, high = min(settled), max(settled)
    margin = HEADROOM * (high - low) or HEADROOM * abs(high) or HEADROOM
    return low - margin, high + margin


def ticks(low: float, high: float, parts: int = 3) -> list[tuple[float, str]]:
    """Round numbers about so many parts apart (two to four with 3), with labels of equally many decimals."""
    rough = (high - low) / parts
    power = math.floor(math.log10(rough))
    factor = next(factor for factor in (1, 2, 2.5, 5, 10) if factor * 10.0**power >= rough * 0.999)
    step = factor * 10.0**power
    if math.floor(high / step) == math.ceil(low / step):
        step, factor = step / 2, factor / 2
    decimals = max(0, -power + (not float(factor).is_integer()) - (factor == 10))
    values = [step * k for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [(v, signed(v) if abs(v) >= 1000 else true_minus(f"{v + 0.0:.{decimals}f}")) for v in values]


def signed(value: float) -> str:
    """Three significant digits, with a true minus sign."""
    return true_minus(short(value))


def true_minus(number: str) -> str:
    """A number with a minus sign as long as a plus."""
    return number.replace("-", "\N{MINUS SIGN}")


def _split(key: str) -> tuple[str, str]:
    turn, _, name = key.rpartition("/")
    return turn, name


def _pairs(key: str, log: Sequence[Mapping[str, float]]) -> list[tuple[float, float]]:
    """(images seen, value) of each line in which the number is there and finite."""
    return [(line["seen"], line[key]) for line in log if math.isfinite(line.get(key, math.nan))]


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
