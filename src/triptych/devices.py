"""Which device works, in what precision, and how much memory it took."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from triptych import machine
from triptych.errors import ResourceError

SHARED = 256  # pixels above which the CPU's threads share the work


def pick(name: str = "auto") -> torch.device:
    """The device called `name`: "auto" (the fastest here), "cpu", "cuda", "cuda:1", "mps"."""
    if name == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ResourceError(f"The device {name!r} does not work here; try --device auto or cpu.") from error
    return device


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """bfloat16 where the hardware multiplies in it (NVIDIA since Ampere), else float32 throughout."""
    return torch.autocast(device.type, torch.bfloat16, enabled=is_half(device))


def is_half(device: torch.device) -> bool:
    """Whether `autocast` computes in bfloat16 there."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


@contextmanager
def threads_for(sides: Sequence[int], device: torch.device) -> Iterator[None]:
    """One CPU thread for images of at most 16x16 px, whose products are too small to be shared."""
    before = torch.get_num_threads()
    if device.type == "cpu" and math.prod(sides) <= SHARED:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was told; for clocks."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(device: torch.device) -> tuple[int, str]:
    """The most bytes held so far, and of what: "device" (tensors on a GPU) or "process" (resident)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device), "device"
    status = Path("/proc/self/status")
    if status.exists():  # the kernel's own high-water mark of this process image
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024, "process"
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024), "process"


def forget_peak(device: torch.device) -> None:
    """Let `peak_memory` begin anew from what is held now, where the system can; a process on Linux, a GPU of NVIDIA."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):  # not every system has it, nor every container lets us
        Path("/proc/self/clear_refs").write_text("5")


def free_memory(device: torch.device) -> int | None:
    """Bytes that `peak_memory` may rise to: what is free, and what is held already; None where nobody tells."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    free, pages = machine.memory()[1], Path("/proc/self/statm")
    if free is None or not pages.exists():
        return None
    return free + int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
