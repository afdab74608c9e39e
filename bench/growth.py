"""Does either loss jump where a stage of a growing model begins to fade in, or is whole?

    python -m bench.growth RUN [--lines 4] [--json]

RUN is a run of `progressive`. At each such moment the root mean square of a loss over the log's next lines is held
against that over the lines before; the larger of the two ratios is the jump. Goal: at most 2.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from triptych.gan.progressive import level_after
from triptych.nets.conv import ladder
from triptych.training.logbook import read

LOSSES = ("critic/loss", "generator/loss")
Line = Mapping[str, float]


class Moment(NamedTuple):
    """Where the training changes."""

    seen: int
    words: str


def moments(sides: Sequence[tuple[int, int]], hold: int, fade: int) -> list[Moment]:
    """The first and the last image of each fade; `sides` are those of the stages, the core's first."""
    found = []
    for stage, (height, width) in enumerate(sides[1:], 1):
        begins = stage * hold + (stage - 1) * fade
        assert level_after(begins, hold, fade, len(sides)) < level_after(begins + fade, hold, fade, len(sides))
        found += [Moment(begins, f"{height}x{width} begins"), Moment(begins + fade, f"{height}x{width} is whole")]
    return found


def jump(log: Sequence[Line], key: str, seen: int, lines: int) -> float | None:
    """How many times larger or smaller a loss is after so many images than before; None where the log has no such."""
    values = [(line["seen"], line[key]) for line in log if key in line]
    before = [value for at, value in values if at <= seen][-lines:]
    after = [value for at, value in values if at > seen][:lines]
    if len(before) < lines or len(after) < lines:
        return None
    ratio = math.dist(after, [0] * lines) / max(math.dist(before, [0] * lines), 1e-12)
    return max(ratio, 1 / max(ratio, 1e-12))


def found(run: Path, lines: int) -> list[dict[str, Any]]:
    """A row for each moment that the run has passed."""
    tree = yaml.safe_load((run / "recipe.yaml").read_text(encoding="utf-8"))
    sides = ladder(tuple(tree["data"]["image_shape"][1:]), tree["model"]["core"])[::-1]
    log = read(run / "metrics.jsonl")
    rows = []
    for moment in moments(sides, tree["objective"]["hold"], tree["objective"]["fade"]):
        jumps = {key.partition("/")[0]: jump(log, key, moment.seen, lines) for key in LOSSES}
        if None not in jumps.values():
            rows.append({"seen": moment.seen, "moment": moment.words, **jumps})
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as aligned text."""
    lines = [f"{'images seen':>12}  {'moment':16}{'critic':>8}{'generator':>11}"]
    for row in rows:
        lines.append(f"{row['seen']:12,}  {row['moment']:16}{row['critic']:8.2f}{row['generator']:11.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.growth", description="Jumps of the losses of a growing model.")
    parser.add_argument("run", type=Path, help="a run folder of `progressive`")
    parser.add_argument("--lines", type=int, default=4, help="lines of the log on either side")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    rows = found(asked.run, asked.lines)
    print(json.dumps(rows) if asked.json else table(rows))
    if not asked.json and rows:
        print(f"largest jump: {max(max(row['critic'], row['generator']) for row in rows):.2f}")


if __name__ == "__main__":
    main()
