"""What this machine is: processor, cores, memory. Asks the system alone and imports nothing heavy."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

from triptych.words import size

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # numbers of malloc.h


def processor() -> str:
    """The processor's name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return " ".join(line.partition(":")[2].split())
    if sys.platform == "darwin":
        line = ["sysctl", "-n", "machdep.cpu.brand_string"]
        name = subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()
        if name:
            return name
    return platform.processor() or platform.machine()


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> tuple[int | None, int | None]:
    """Bytes of memory: in all, and free for programs; None where the system does not tell."""
    total: int | None = None
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return total, None
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
    free = int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    if total is not None and limit is not None and limit < total:  # a container has less than the machine
        total = limit
        free = min(free or limit, limit - (used or 0))
    return total, free


def keep_freed() -> None:
    """Let this process keep what it frees for what it needs next, where it has glibc's allocator.

    Else what is large, or together is much, comes from the system anew each time, page by page and set to zero; a
    step of training asks for hundreds of blocks.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, -1)


def give_back() -> None:
    """Give the system what this process has freed and kept."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def energy() -> float | None:
    """Joules that the processor has taken so far, by its own counters; None where they cannot be read.

    Only differences mean something, and everything that runs on the machine is in them.
    """
    counters = Path("/sys/class/powercap").glob("intel-rapl:[0-9]*")
    packages = [_number(path / "energy_uj") for path in counters if path.name.count(":") == 1]
    known = [value for value in packages if value is not None]
    return sum(known) / 1e6 if known else None


def energy_since(before: float | None) -> float | None:
    """Joules since `energy` gave that; None where they cannot be read, or a counter began anew."""
    after = energy()
    return None if before is None or after is None or after < before else after - before


def describe(device: str = "cpu") -> str:
    """The machine in a line, with torch's version: for reports that hold timings."""
    import torch

    total, _ = memory()
    count = cores()
    parts = [f"{count} core{'' if count == 1 else 's'} of {processor()}"]
    if device.startswith("cuda"):
        parts.insert(0, torch.cuda.get_device_name(device))
    if total is not None:
        parts.append(f"{size(total)} memory")
    return ", ".join([*parts, f"torch {torch.__version__}"])


def _number(path: Path) -> int | None:
    """A whole number from a file of the system; None where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
