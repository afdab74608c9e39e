"""All else that can go wrong, one process each: it ends with a sentence, the right exit code, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from faults import poison
from faults.process import End, Running, call
from faults.shim import When, arm, move_clock
from faults.subjects import ALWAYS, BATCH, END, SELDOM, Subject, copy, differing_bits, orphans, words
from triptych import durable

YEAR = 365 * 86_400  # seconds


@dataclass
class Row:
    """What a fault did."""

    case: str
    wanted: int
    code: int
    sentence: str
    after: str  # what the same line, without the fault, made of the run
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return self.code == self.wanted and bool(self.sentence) and self.after in ("same bits", "-")


class Bench:
    """A folder in which things go wrong."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject, self.folder, self.rows = subject, folder, list[Row]()
        self.run, self.said = folder / "run", folder / "said"

    def line(self, *flags: str, steps: int = END) -> list[str]:
        return words(self.subject.name, self.run, steps, *flags)

    def judge(self, case: str, wanted: int, end: End, after: str = "-") -> None:
        sentence = "" if end.traced else end.sentence
        self.rows.append(Row(case, wanted, end.code, sentence, after, [end.said[-1500:]] if end.traced else []))

    def trained(self, case: str, wanted: int, first: Callable[[], None], flags: tuple[str, ...] = SELDOM,
                afresh: bool = False) -> None:  # fmt: skip
        """Train with a fault from the first moment on, then without it, and compare."""
        shutil.rmtree(self.run, ignore_errors=True)
        if not afresh:
            copy(self.subject, self.run)
        end = call(self.line(*flags), self.said, first)
        left = [name for name in orphans(self.run) if wanted == 5] if self.run.exists() else []
        after = call(self.line(*SELDOM), self.said)
        bits = differing_bits(self.run, self.subject.whole) if after.code == 0 else -1
        same = after.code == 0 and not bits and not left
        self.judge(case, wanted, end, "same bits" if same else f"{after.sentence} {bits} bits, {left}")


def campaign(subject: Subject, folder: Path) -> list[Row]:
    """Everything, one after the other."""
    bench = Bench(subject, folder)
    for part in (_disks, _numbers, _checkpoints, _neighbours, _clocks, _workers):
        part(bench)
    return bench.rows


def _disks(bench: Bench) -> None:
    places = {"a checkpoint": "*/at/*/.tmp*", "the log": "*metrics.jsonl*", "a grid": "*/samples/*"}
    for name, path in places.items():
        for what, number in (("full", errno.ENOSPC), ("over its quota", errno.EDQUOT), ("broken", errno.EIO)):
            fault = partial(arm, "write", path, 2 if name == "the log" else 1, When.FAIL, number)
            bench.trained(f"the disk is {what} at {name}", 5, fault, ALWAYS)
    bench.trained("the disk is full at the recipe", 5,
                  partial(arm, "write", "*recipe.yaml*", 1, When.FAIL, errno.ENOSPC), afresh=True)  # fmt: skip
    bench.trained("fsync reports a broken disk", 5, partial(arm, "fsync", "*/at/*", 1, When.FAIL, errno.EIO), ALWAYS)
    bench.trained("no more inodes", 5, partial(arm, "mkdir", "*/at/*", 1, When.FAIL, errno.ENOSPC), ALWAYS)
    bench.trained("files may not be larger than 4 kB", 5,
                  partial(resource.setrlimit, resource.RLIMIT_FSIZE, (4096, 4096)))  # fmt: skip
    for name, number in (("cannot be made", errno.EACCES), ("is on a read-only disk", errno.EROFS)):
        bench.trained(f"the folder {name}", 5, partial(arm, "mkdir", "*/run", 1, When.FAIL, number), afresh=True)
    if os.geteuid() == 0 and shutil.which("mount"):
        _mounted(bench)


def _mounted(bench: Bench) -> None:
    """A small disk that fills up, and the same one read-only; where this process may mount one."""
    shutil.rmtree(bench.run, ignore_errors=True)
    bench.run.mkdir()
    size = sum(path.stat().st_size + 4096 for path in bench.subject.begun.rglob("*"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size + 8192}", "tmpfs", str(bench.run)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        return
    try:
        shutil.copytree(bench.subject.begun, bench.run, dirs_exist_ok=True)
        bench.judge("a disk that is really full", 5, call(bench.line(*ALWAYS), bench.said))
        subprocess.run(["mount", "-o", "remount,ro", str(bench.run)], check=True)
        bench.judge("a disk that is really read-only", 5, call(bench.line(*SELDOM), bench.said))
    finally:
        subprocess.run(["umount", str(bench.run)], check=True)


def _numbers(bench: Bench) -> None:
    for place, poisoned in poison.PLACES.items():
        for value in (float("nan"), float("inf")):
            bench.trained(f"{value} in {place}", 6, partial(poisoned, value, 3))
    for name, images, labels in (
        ("a pixel", np.full((9, 8, 8, 1), np.nan), None),
        ("a label", np.zeros((9, 8, 8, 1), np.uint8), np.full(9, np.nan)),
    ):
        arrays = {"images": images} | ({} if labels is None else {"labels": labels})
        np.savez(bench.folder / "wrong.npz", **arrays)
        line = bench.line(*SELDOM)
        line[2] = str(bench.folder / "wrong.npz")
        shutil.rmtree(bench.run, ignore_errors=True)
        bench.judge(f"nan in {name} of a file", 3, call(line, bench.said))
    for value in (".nan", ".inf", "-.inf"):
        turn = {"mlp-gan": "critic", "vae": "bound"}.get(bench.subject.name, "denoise")
        end = call([*bench.line(*SELDOM), "--set", f"optimisers.{turn}.rate={value}"], bench.said)
        bench.judge(f"{value} in a recipe", 2, end)


def _checkpoints(bench: Bench) -> None:
    def changed(change: Callable[[dict[str, Any]], None], name: str = "model.safetensors") -> None:
        """Every checkpoint with other tensors, sealed by somebody who meant it."""
        for checkpoint in (copy(bench.subject, bench.run) / "at").iterdir():
            tensors = load_file(checkpoint / name)
            change(tensors)
            save_file(tensors, checkpoint / name)
            _seal(checkpoint)

    def first(tensors: dict[str, Any]) -> str:
        return next(key for key, tensor in tensors.items() if tensor.ndim > 1)

    changes: dict[str, Callable[[dict[str, Any]], Any]] = {
        "a tensor is missing": lambda t: t.pop(first(t)),
        "a tensor is too many": lambda t: t.update(extra=np.zeros(3, np.float32)),
        "a tensor has another name": lambda t: t.update(other=t.pop(first(t))),
        "a tensor has another shape": lambda t: t.update({first(t): t[first(t)][:1]}),
        "a tensor is not finite": lambda t: t[first(t)].fill(np.nan),
    }
    for name, change in changes.items():
        for file in ("model.safetensors", "state.safetensors"):
            if file == "state.safetensors" and "too many" in name:
                continue  # what nobody asks for harms nobody there
            changed(change, file)
            bench.judge(f"{name}, {file}", 4, call(bench.line(*SELDOM), bench.said))
    moments: dict[str, Callable[[dict[str, Any], str], Any]] = {
        "is missing": lambda t, key: t.pop(key),
        "has another name": lambda t, key: t.update({key + "x": t.pop(key)}),
        "has another shape": lambda t, key: t.update({key: t[key][:1]}),
        "is another parameter's": lambda t, key: t.update({key.replace("/0/", "/999/"): t.pop(key)}),
    }
    for name, harm in moments.items():
        changed(lambda t, harm=harm: harm(t, next(k for k in t if k.endswith("/0/exp_avg"))), "state.safetensors")
        bench.judge(f"a moment of an optimiser {name}", 4, call(bench.line(*SELDOM), bench.said))
    changed(changes["a tensor has another shape"])
    out = str(bench.folder / "x.png")
    bench.judge("the same, in sampling", 4, call(["sample", str(bench.run), "-n", "1", "-o", out], bench.said))
    for name, key, value in (("a newer format", "format", 99), ("no files", "files", {})):
        for checkpoint in (copy(bench.subject, bench.run) / "at").iterdir():
            manifest = json.loads((checkpoint / "manifest.json").read_text())
            (checkpoint / "manifest.json").write_text(durable.sealed({**manifest, key: value}))
        bench.judge(f"a manifest with {name}", 4, call(bench.line(*SELDOM), bench.said))
    line = words("vae" if bench.subject.name != "vae" else "flow", copy(bench.subject, bench.run), END, *SELDOM)
    bench.judge("the folder holds a run of another model", 2, call(line, bench.said))


def _seal(checkpoint: Path) -> None:
    from triptych import store

    manifest = json.loads((checkpoint / "manifest.json").read_text())
    (checkpoint / "manifest.json").unlink()
    store._seal(checkpoint, manifest["seen"])


def _neighbours(bench: Bench) -> None:
    copy(bench.subject, bench.run)
    one = Running(bench.line(*SELDOM, steps=10**7), bench.said)
    while (bench.run / "metrics.jsonl").read_text().count(f'"seen": {500 * BATCH}') == 0:
        time.sleep(0.01)
    two = call(bench.line(*SELDOM), bench.folder / "said-too")
    known = f"process {one.pid} on " in two.said
    bench.judge("two runs in one folder", 2, two, "-" if known else "the other process is not named")
    one.send(signal.SIGKILL)
    one.wait()
    bench.trained("its lock after a kill", 0, lambda: None)


def _clocks(bench: Bench) -> None:
    jumps = {"a day on": 86_400, "a day back": -86_400, "to 1970": 100 - int(time.time()), "50 years on": 50 * YEAR}
    for name, jump in jumps.items():
        fault = partial(poison.at_step, 4, partial(move_clock, jump))
        bench.trained(f"the clock jumps {name}", 0, fault, ALWAYS)
        lines = [json.loads(line) for line in (bench.run / "metrics.jsonl").read_text().splitlines()]
        rates = [line["images_per_second"] for line in lines if "images_per_second" in line]
        times = [line["seconds"] for line in lines]
        if min(rates) <= 0 or times != sorted(times):
            bench.rows[-1].after = "times in the log go backwards"


def _workers(bench: Bench) -> None:
    from PIL import Image

    photos, out = bench.folder / "large", bench.folder / "large.pack"
    shutil.rmtree(out, ignore_errors=True)
    photos.mkdir(exist_ok=True)
    chances = np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(chances.integers(0, 255, (1600, 1600, 3), np.uint8)).save(photos / f"{index}.png")
    running, killed = Running(["pack", str(photos), str(out), "--size", "16"], bench.said), 0
    while not running.ended():
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        if children and killed < 2 and any(bench.folder.glob(".large.pack.part/*")):
            time.sleep(0.1)
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
            killed += 1
        time.sleep(0.05)
    end = running.wait()
    count = json.loads((out / "pack.json").read_text())["count"] if end.code == 0 else 0
    bench.judge("a decoding process is killed", 0, end, "-" if count == 6 else f"{count} of 6 images are left")


def table(rows: list[Row]) -> str:
    """Faults x exit codes, as Markdown."""
    lines = ["| fault | exit code | wanted | then | says |", "|---|---|---|---|---|"]
    return "\n".join(
        [*lines, *(f"| {r.case} | {r.code} | {r.wanted} | {r.after} | {r.sentence[:160]} |" for r in rows)]
    )
