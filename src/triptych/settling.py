"""How a run computes, where its recipe leaves that open: what is fastest here, measured once and remembered.

Products in bfloat16, and compiled networks, are faster on some machines for some networks alone. A copy of the run
plays a few steps in each way that may be worth it. Their paces are kept in the cache folder, and hold for the same
networks and batch on the same machine with the same PyTorch; a run keeps what it began with (`ways.py`).
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from triptych import devices, durable, machine
from triptych.data import Splits
from triptych.data.places import data_folder
from triptych.errors import NumericsError
from triptych.intake import json_of, text_of
from triptych.pacing import pace, play
from triptych.run import Budget, build
from triptych.screen import Screen
from triptych.training.state import State
from triptych.ways import OPEN, Settle, reason, unmeasured

Tree = dict[str, Any]
SPAN = 1.0  # seconds of steps in each way
WINS = 1.1  # times as fast must another way be
FEW = 20_000  # images of a training that is over before anything is measured
LONG = {"precision": 60.0, "compile": 1800.0}  # seconds of a training from which another way is tried


class Pace(NamedTuple):
    """How fast a way of computing is."""

    first: float  # seconds of the first step, in which networks are compiled
    each: float  # seconds for an image

    def of(self, images: float) -> float:
        """Seconds for so many images."""
        return self.first + self.each * images


def settled(budget: Budget, screen: Screen) -> Settle:
    """What settles the recipe of a training with this budget: its precision, and `compile` as a truth value.

    Networks that were to be compiled and cannot be, as where there is no C++ compiler, are not, and a sentence says so.
    """

    def settle(tree: Tree, splits: Splits, device: torch.device, folder: Path) -> Tree:
        start, trial = unmeasured(tree, splits, device, folder), Trial(splits, device, folder, screen)
        if (folder / "recipe.yaml").exists():
            return start
        try:
            if start["compile"] and trial.pace(start) is None:
                start = {**start, "compile": False}
            return _fastest(start, _tries(tree, start, device), trial, budget.or_else(int(tree["images"])))
        except (torch.OutOfMemoryError, NumericsError):  # the plan will say what fits, the training what diverges
            return start
        finally:
            gc.collect()
            devices.forget_peak(device)

    return settle


def _tries(tree: Tree, start: Tree, device: torch.device) -> Iterator[tuple[str, Any]]:
    """What may be worth a change, of all that is open."""
    if tree["precision"] == OPEN and devices.can_half(device):
        yield "precision", "float32" if start["precision"] == "bfloat16" else "bfloat16"
    if tree["compile"] == OPEN:
        yield "compile", True


def _fastest(start: Tree, tries: Iterator[tuple[str, Any]], trial: Trial, budget: Budget) -> Tree:
    """The tree with each change that ends the training sooner, compiling included."""
    images, seconds = budget.images or math.inf, budget.seconds or math.inf
    if images <= FEW or seconds < min(LONG.values()):
        return start
    best, usually = start, trial.pace(start)
    if usually is None:
        return start
    fastest, images = usually, min(images, seconds / usually.each)
    for name, value in tries:
        changed = {**best, name: value}
        found = trial.pace(changed) if usually.of(images) >= LONG[name] else None
        if found and WINS * found.of(images) < fastest.of(images):
            best, fastest = changed, found
    if best is not start:
        words = best["precision"] + ", compiled" * best["compile"]
        trial.screen.say(f"Computing in {words}: {usually.of(images) / fastest.of(images):.1f} times as fast here.")
    return best


class Trial(NamedTuple):
    """Where and on what paces are measured."""

    splits: Splits
    device: torch.device
    folder: Path
    screen: Screen

    def pace(self, tree: Tree) -> Pace | None:
        """The pace of a complete recipe, from memory where it is known; None where it cannot be compiled."""
        path, key = data_folder() / "paces.json", _key(tree, self.device)
        known = remembered(path)
        if key in known:
            return Pace(*known[key])
        try:
            found = self._measured(tree)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # a compiler fails in more ways than it has errors
            if not tree["compile"]:
                raise
            self.screen.warn(f"Nothing is compiled, for that failed ({reason(error)}); --compile off does not try.")
            return None
        with contextlib.suppress(OSError):  # a machine without memory measures again
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.write(path, json.dumps({**known, key: found}))
        return found

    def _measured(self, tree: Tree) -> Pace:
        run = build(self.folder, tree, self.splits, self.device, Screen(quiet=True))
        begun = time.perf_counter()
        play(run, State(run.state.seed), lambda state: state.steps >= 1)
        return Pace(time.perf_counter() - begun, pace(run, 0, SPAN))


def remembered(path: Path) -> dict[str, list[float]]:
    """The paces in a file, by key; none where it is not there, or no file of paces."""
    try:
        known = json_of(text_of(path))
        return {
            str(key): [float(part) for part in parts] for key, parts in known.items() if len(parts) == len(Pace._fields)
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _key(tree: Tree, device: torch.device) -> str:
    """What a pace depends on, as a digest."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else machine.processor()
    what = [tree[name] for name in ("model", "objective", "optimisers", "batch", "pieces", "precision", "compile")]
    facts = [device.type, where, torch.get_num_threads(), torch.__version__, tree["data"]["image_shape"], *what]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()
