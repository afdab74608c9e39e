"""What is hurt: tiny runs of each family that stand shortly before the end, and how two runs differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from faults.process import call, import_all
from tiny import TINY

BATCH = 8
START, END = 492, 505  # steps: a line of the log and the held-out losses come at 500
FAMILIES = ("mlp-gan", "vae", "flow")
TINIER = {"mlp-gan": ["model.widths=[8]", "objective.critic.widths=[8]"], "vae": ["model.hidden=8"], "flow": []}
ALWAYS = ("--save-every", "0.001s", "--show-every", "0.02s")  # after each step; and as often as drawing is quick
SELDOM = ("--save-every", "1h", "--show-every", "1h")


class Subject(NamedTuple):
    """A run to be killed, and the same run that never was."""

    name: str
    begun: Path  # at START, as two processes left it, with two checkpoints
    whole: Path  # at END, in one go


def words(name: str, out: Path, steps: int, *more: str) -> list[str]:
    """The command line that trains until so many steps."""
    changes = [*TINY[name], *TINIER[name], f"batch={BATCH}"]
    settings = [word for change in changes for word in ("--set", change)]
    more = more if "--scores" in more else ("--scores", "0", *more)
    return ["train", name, "digits", "--out", str(out), "--images", str(steps * BATCH), *more, *settings]


def prepare(folder: Path, names: tuple[str, ...] = FAMILIES) -> list[Subject]:
    """Train each to its start, and on to its end without a stop."""
    folder.mkdir(parents=True, exist_ok=True)
    import_all(words("vae", folder / "first", 3, *ALWAYS, "--scores", "1"), folder)
    subjects = []
    for name in names:
        subject = Subject(name, folder / f"{name}-begun", folder / f"{name}-whole")
        for run, steps in ((subject.begun, START - 2), (subject.begun, START), (subject.whole, END)):
            end = call(words(name, run, steps, *SELDOM), folder / "said")
            assert end.code == 0, end.said
        subjects.append(subject)
    return subjects


def copy(subject: Subject, out: Path) -> Path:
    """The run at its start, in a folder of its own."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(subject.begun, out)
    return out


def newest(run: Path) -> Path:
    """The checkpoint with the highest number."""
    return max((run / "at").iterdir(), key=lambda path: path.name)


def differing_bits(one: Path, two: Path) -> int:
    """In how many bits weights, average, optimisers, counters, recipe and log differ, but for the clock."""
    a, b = newest(one), newest(two)
    bits = 0 if a.name == b.name else 1
    for name in ("model.safetensors", "state.safetensors", "recipe.yaml"):
        bits += _bits((a / name).read_bytes(), (b / name).read_bytes())
    bits += _bits(*(_plain(_counters(path)) for path in (a, b)))
    return bits + _bits(*(_plain(log(run)) for run in (one, two)))


def log(run: Path) -> list[dict[str, Any]]:
    """The log without times, and without what is written by the clock: grids and scores."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if not any(key.startswith(("samples/", "score/")) for key in line)]
    return [{key: line[key] for key in line if key not in ("seconds", "images_per_second")} for line in kept]


def orphans(run: Path) -> list[str]:
    """What should not be in a run folder: temporary files of ours and of safetensors."""
    return [str(path.relative_to(run)) for path in run.rglob("*") if path.name.startswith(".") and path.name != ".lock"]


def _counters(checkpoint: Path) -> dict[str, Any]:
    return {**json.loads((checkpoint / "state.json").read_text(encoding="utf-8")), "seconds": 0}


def _plain(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _bits(one: bytes, two: bytes) -> int:
    if len(one) != len(two):
        return 8 * abs(len(one) - len(two))
    return int(np.bitwise_count(np.frombuffer(one, np.uint8) ^ np.frombuffer(two, np.uint8)).sum())
