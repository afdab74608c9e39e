"""Where a run is killed: calls of the real code, by name, in the order in which they come."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from faults.shim import When, arm


class Phase(NamedTuple):
    """A moment in the life of a run; it comes several times."""

    name: str
    call: str  # of libc, or MODULE:CLASS.METHOD of the package or of torch
    path: str = ""  # a glob; of a function, nothing
    when: When = When.BEFORE
    most: int = 3  # how many of the times that it comes are tried
    more: tuple[str, ...] = ()  # flags without which it does not come


PART, AT = "*/at/.*.part", "*/at/0*"
PHASES = (
    Phase("at the start: the recipe is written", "write", "*recipe.yaml*", When.HALF, 1),
    Phase("at the start: the log is written anew", "write", "*metrics.jsonl*", When.HALF, 1),
    Phase("at the start: the log is written anew, before its name", "rename", "*/metrics.jsonl", When.BEFORE, 1),
    Phase("before the temporary folder", "mkdir", PART),
    Phase("before the temporary file", "open", f"{PART}/.tmp*", When.BEFORE, 6),
    Phase("in the middle of a tensor", "write", f"{PART}/.tmp*", When.HALF, 12),
    Phase("after the write, before fsync", "fsync", f"{PART}/*.safetensors", When.BEFORE, 6),
    Phase("after fsync, before the manifest", "open", f"{PART}/*manifest.json*"),
    Phase("in the middle of the manifest", "write", f"{PART}/*manifest.json*", When.HALF),
    Phase("after the manifest, before its fsync", "fsync", f"{PART}/*manifest.json*"),
    Phase("after the manifest", "fsync", f"{PART}/*manifest.json*", When.AFTER),
    Phase("after fsync, before rename", "rename", AT),
    Phase("after rename, before the folder's fsync", "rename", AT, When.AFTER),
    Phase("after the folder's fsync", "fsync", "*/at", When.AFTER),
    Phase("while an old one is dropped: a file", "unlink", "*/at/*.safetensors", When.AFTER, 6),
    Phase("while an old one is dropped: the manifest", "unlink", "*/at/*manifest.json*", When.AFTER),
    Phase("while an old one is dropped: its folder", "rmdir", "*/at/*", When.BEFORE),
    Phase("while a grid is drawn", "triptych.play:Chores.show", "", When.HALF, 2),
    Phase("while a grid is written", "write", "*/samples/*", When.HALF, 2),
    Phase("before a grid has its name", "rename", "*/samples/*", When.BEFORE, 2),
    Phase("half a line of the log", "write", "*metrics.jsonl", When.HALF, 3),
    Phase("in a step of an optimiser", "torch.optim:Optimizer.step", "", When.HALF, 24),
    Phase("between the turns of a step", "triptych.training.optimisers:Optimiser.step", "", When.AFTER, 24),
    Phase("before the average follows", "triptych.training.ema:Ema.follow", "", When.BEFORE, 12),
    Phase("while held-out images are read", "triptych.training.holdout:Holdout.__call__", "", When.HALF, 12),
    Phase("while a score is taken", "triptych.scoring:Scorer.score", "", When.HALF, 1, ("--scores", "500")),
    Phase("while the best is written", "write", "*/.best.part/*", When.HALF, 3, ("--scores", "500")),
    Phase("before the best has its name", "rename", "*/best", When.BEFORE, 1, ("--scores", "500")),
    Phase("at a random moment", ""),
)


def set_off(phase: Phase, nth: int) -> Callable[[], None]:
    """What a child does first so that it dies at the nth coming of a phase."""
    if ":" in phase.call:
        return lambda: _mine(phase.call, phase.when, nth)
    return lambda: arm(phase.call, phase.path, nth, phase.when)


def _mine(place: str, when: When, nth: int) -> None:
    """Around a real function, at its nth call: die before it, while it runs, or after it."""
    module, _, name = place.partition(":")
    owner_name, _, method = name.partition(".")
    owner = getattr(import_module(module), owner_name)
    if place == "torch.optim:Optimizer.step":
        _mine_torch(nth)
        return
    real, calls = getattr(owner, method), 0

    def mined(*args: Any, **how: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != nth:
            return real(*args, **how)
        if when == When.BEFORE:
            die()
        if when == When.HALF:
            _die_soon()
        result = real(*args, **how)
        die()
        return result

    setattr(owner, method, mined)


def _mine_torch(nth: int) -> None:
    """Inside PyTorch's own step, which each optimiser overrides: at its nth beginning, the end is near."""
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    calls = 0

    def hook(optimiser: Any, args: Any, how: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            _die_soon()

    register_optimizer_step_pre_hook(hook)


def _die_soon(seconds: float = 2e-4) -> None:
    """A thread that ends the process while the main one works."""

    def later() -> None:
        time.sleep(seconds)
        die()

    threading.Thread(target=later, daemon=True).start()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    while True:
        signal.pause()
