"""Minutes to quality: FD-bundled against minutes of training, for a recipe of each kind.

    python -m bench.board digits --for 60s [--out runs/board] [--picture FILE.svg]
    python -m bench.board cifar10 --data cifar10.pack --for 30min

Plays the lines of `bench/board.yaml` one after the other, each in a process of its own; the same line again goes on
with them. Prints a row for each, from its log: the score in the loop (FD-bundled of 1,000 images against all training
images) at a quarter, a half and the whole of the time. Runs that were trained elsewhere are told with --runs.
"""

from __future__ import annotations

import argparse
import math
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from triptych import recipe
from triptych.report.charts import UNITS
from triptych.report.drawing import MARKS, STYLES, Series, drawn
from triptych.report.html import render
from triptych.training.logbook import read
from triptych.training.monitors import SCORE
from triptych.words import short

SCORES = 8  # in a run
ABOVE = 26  # room for the title of the axis up


class Line(NamedTuple):
    """A training as its log tells it."""

    name: str
    family: str
    images_per_second: float
    seconds: float
    curve: list[tuple[float, float]]  # (seconds, FD-bundled)

    def at(self, seconds: float) -> float:
        """The last score up to then; NaN where there is none."""
        return next((value for time, value in reversed(self.curve) if time <= seconds + 1), math.nan)


def told(run: Path) -> Line:
    """What the log of a run says of its course."""
    tree, log = recipe.read_file(run / "recipe.yaml"), read(run / "metrics.jsonl")
    curve = [(line["seconds"], line[SCORE]) for line in log if SCORE in line]
    last = log[-1]
    return Line(tree["name"], tree["about"]["family"], last["seen"] / last["seconds"], last["seconds"], curve)


def rows(lines: Sequence[Line], seconds: float) -> list[str]:
    """A Markdown table, the best end first."""
    ends = sorted(lines, key=lambda line: (math.isnan(line.at(seconds)), line.at(seconds)))
    head = ("model", "family", "images/s", "at a quarter", "at a half", "at the end", "best")
    body = [
        (
            f"`{line.name}`",
            line.family,
            short(line.images_per_second),
            *(_number(line.at(share * seconds)) for share in (0.25, 0.5, 1)),
            _number(min((value for _, value in line.curve), default=math.nan)),
        )
        for line in ends
    ]
    return [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *body)]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else short(value)


def picture(lines: Sequence[Line]) -> str:
    """The curves as SVG; the score as a power of ten, so that good models can be told apart."""
    scale, _, unit = next(found for found in UNITS if max(line.seconds for line in lines) >= found[1])
    series = [
        Series(line.name, index % STYLES, [(time / scale, math.log10(value)) for time, value in line.curve])
        for index, line in enumerate(lines)
        if line.curve
    ]
    chart = drawn(series, (f"{unit} of training", "FD-bundled, as a power of ten"), False, None)[0]
    shape = chart.shape
    width, height = shape.left + shape.width + chart.room, ABOVE + shape.top + shape.height + shape.bottom
    return render("chart.svg", chart=chart, above=ABOVE, marks=MARKS, width=width, height=height)


def main() -> None:
    known = recipe.read_file(Path(__file__).with_suffix(".yaml"))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name", choices=sorted(known))
    parser.add_argument("--data", default="", metavar="PACK", help="what DATA stands for")
    parser.add_argument("--for", dest="span", default="60s", metavar="TIME", help="of training, for each line")
    parser.add_argument("--out", default="runs/board", metavar="FOLDER", help="where the runs are")
    parser.add_argument("--runs", nargs="*", type=Path, default=[], metavar="RUN", help="tell of these and train none")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg")
    asked = parser.parse_args()
    runs = list(asked.runs)
    for line in [] if runs else known[asked.name]:
        words = [asked.data if word == "DATA" else word for word in shlex.split(line)]
        runs.append(Path(asked.out) / asked.name / words[1])
        more = ["--for", asked.span, "--scores", str(SCORES), "--out", str(runs[-1])]
        subprocess.run([sys.executable, "-m", "triptych", *words, *more], check=True)
    lines = [told(run) for run in runs]
    print("\n".join(rows(lines, max(line.seconds for line in lines))))
    if asked.picture:
        asked.picture.write_text(picture(lines), encoding="utf-8")
        print(f"Wrote {asked.picture}.")


if __name__ == "__main__":
    main()
