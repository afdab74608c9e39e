"""One side of a contest, as a process of its own: it makes ready, then works and tells the seconds.

    PYTHON -m bench.work MODULE SIDE JSON

Calls `MODULE.SIDE(**settings)`, prints what it is as a line of JSON, then answers each line that is read from standard
input: for a number it works as often and prints the seconds; for [number, FILE.npy] it writes as many images of what
it has trained. It needs PyTorch alone, so that it runs in any environment.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry

# Processor time is that of this process on all its threads, as if they had shared the work evenly: on a machine that
# does other things as well it is steadier, but it does not see children, disks and GPUs.
CLOCKS: dict[str, Callable[[], float]] = {
    "wall": time.perf_counter,
    "processor": lambda: time.process_time() / torch.get_num_threads(),
}


class Work(NamedTuple):
    """What one side does, over and over."""

    once: Callable[[], object]
    images: int  # that `once` trains, makes or reads
    package: str  # whose version is told
    players: tuple[nn.Module, ...] = ()  # the networks that take part
    how: str = "float32"  # the precision and the memory format
    moved: int = 0  # bytes that must pass through memory, where that is what limits it
    value: float | None = None  # what it computed, where both sides must find the same
    draw: Callable[[int], Tensor] | None = None  # so many images, uint8 (N, C, H, W), of a side that trains


def flops(once: Callable[[], object]) -> int:
    """Floating-point operations of a call by PyTorch's own formulas (a multiply-add is two)."""
    name = "_scaled_dot_product_flash_attention"  # which has no formula of its own on CPUs
    for way in ("", "_backward"):
        cpu, gpu = (getattr(torch.ops.aten, name + device + way) for device in ("_for_cpu", ""))
        flop_registry.setdefault(cpu, flop_registry[gpu])
    with FlopCounterMode(display=False) as counter:
        once()
    return int(counter.get_total_flops())


def parameters(players: tuple[nn.Module, ...]) -> int:
    """Numbers that training moves."""
    return sum(p.numel() for player in players for p in player.parameters() if p.requires_grad)


def version(package: str) -> str:
    """The version of a package, installed or lying on the path."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return str(importlib.import_module(package).__version__)


def synchronise() -> None:
    """Wait until a GPU has done all that it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(once: Callable[[], object], times: int = 1, clock: str = "wall") -> float:
    """Seconds of so many calls by a clock of `CLOCKS`."""
    tell = CLOCKS[clock]
    synchronise()
    start = tell()
    for _ in range(times):
        once()
    synchronise()
    return tell() - start


def fastest(ways: dict[str, Callable[[], object]], clock: str = "wall", times: int = 2) -> str:
    """The name of the way that is done soonest, each warmed up by a call."""
    spans = {}
    for name, once in ways.items():
        once()
        spans[name] = timed(once, times, clock)
    return min(spans, key=spans.__getitem__)


def images(batch: int, side: int, device: str) -> Tensor:
    """The same images of noise (B, 3, side, side) in [-1, 1] for every side."""
    return (torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1).to(device)


def main() -> None:
    module, side, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print to standard output is not an answer
    clock = settings.pop("clock")
    torch.set_num_threads(settings.pop("threads"))
    torch.manual_seed(0)
    work: Work = getattr(importlib.import_module(module), side)(**settings)
    told = {
        "package": work.package,
        "version": version(work.package),
        "images": work.images,
        "parameters": parameters(work.players),
        "flops": flops(work.once) if work.players else 0,
        "how": work.how,
        "moved": work.moved,
        "value": work.value,
    }
    print(json.dumps(told), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(work, json.loads(line), clock)), file=answers, flush=True)


def answer(work: Work, asked: Any, clock: str) -> float | str:
    """The seconds of so many times of work, or the file in which so many images are."""
    if isinstance(asked, int):
        return timed(work.once, asked, clock)
    assert work.draw
    count, path = asked
    np.save(path, work.draw(count).numpy())
    return str(path)


if __name__ == "__main__":
    main()
