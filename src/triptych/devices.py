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

PRECISIONS = ("float32", "bfloat16")
SHARED = 256  # pixels above which the CPU's threads share the work


def pick(name: str = "auto") -> torch.device:
    """The device called `name`: "auto" (the fastest here), "cpu", "cuda", "cuda:1", "mps".

    From then on a CPU keeps the memory that is freed, as PyTorch does on GPUs.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ResourceError(f"The device {name!r} does not work here; try --device auto or cpu.") from error
    if device.type == "cpu":
        machine.keep_freed()
    return device


def autocast(device: torch.device, precision: str = "auto") -> AbstractContextManager[object]:
    """Products in one of `PRECISIONS`; "auto": bfloat16 on GPUs that multiply in it, else float32 throughout."""
    half = is_half(device) if precision == "auto" else precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


def is_half(device: torch.device) -> bool:
    """Whether it is a GPU that multiplies in bfloat16 (NVIDIA since Ampere)."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def can_half(device: torch.device) -> bool:
    """Whether it has instructions for products in bfloat16, which may be faster there: such a GPU, or such a CPU."""
    if device.type != "cpu":
        return is_half(device)
    told: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of PyTorch do not tell
    return bool(told.get("avx512_bf16") or told.get("amx_bf16"))


def eagerly() -> AbstractContextManager[object]:
    """Inside, compiled networks compute as they are written: for slopes of slopes, and for what is done but once."""
    if "torch._dynamo" not in sys.modules:  # nothing is compiled
        return contextlib.nullcontext()
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


@contextmanager
def plainly(device: torch.device) -> Iterator[None]:
    """Inside, all is computed in full precision and as it is written."""
    with torch.autocast(device.type, enabled=False), eagerly():
        yield


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
    machine.give_back()
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
