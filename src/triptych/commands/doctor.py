"""`triptych doctor`: what works on this machine, what is missing, and the cure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from triptych.errors import ResourceError
from triptych.screen import SCREEN, Screen

LOW_MEMORY = 10**9  # bytes; the smallest recipes need about half of it
LOW_DISK = 10**9


class Check(NamedTuple):
    """One line of the doctor's report."""

    name: str
    works: bool
    found: str
    cure: str = ""  # what to do where it does not work
    needed: bool = True  # whether triptych stops without it


class Health(NamedTuple):
    """All lines; `works` where nothing that is needed is missing."""

    works: bool
    checks: list[Check]


def doctor(*, screen: Screen = SCREEN) -> Health:
    """Say what works on this machine and what is missing. Missing extras are no failure."""
    checks = [check for part in (_python, _packages, _torch, _machine, _disk, _data) for check in _kept(part)]
    rows = [
        ("works" if c.works else "missing" if c.needed else "optional", c.name, c.found if c.works else f"{c.found}: {c.cure}")
        for c in checks
    ]
    screen.table(("", "", ""), rows)
    wrong = [check for check in checks if check.needed and not check.works]
    if wrong:
        raise ResourceError(" ".join(f"{check.name}: {check.found}: {check.cure}." for check in wrong))
    return Health(True, checks)


def _kept(part: Callable[[], Iterator[Check]]) -> list[Check]:
    """A part's lines; a part that breaks becomes a line itself, since a doctor must not fall ill."""
    checks: list[Check] = []
    try:
        checks.extend(part())
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        checks.append(Check(part.__name__.strip("_"), False, reason, "install triptych again in a fresh environment"))
    return checks


def _python() -> Iterator[Check]:
    import platform
    import sys

    from triptych import __version__

    yield Check("triptych", True, __version__)
    found = f"{platform.python_version()} at {sys.executable}"
    yield Check("python", sys.version_info >= (3, 11), found, "install Python 3.11 or newer")


def _packages() -> Iterator[Check]:
    """What the installed package says that it needs, each with its version; extras as one line each."""
    import re
    from importlib.metadata import PackageNotFoundError, requires, version

    def installed(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    try:
        wanted = requires("triptych") or []
    except PackageNotFoundError:
        yield Check("packages", False, "triptych runs from its source tree", "pip install .", needed=False)
        return
    extras: dict[str, list[str]] = {}
    for line in wanted:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", line)
        if extra:
            extras.setdefault(extra[1], []).append(name)
        else:
            yield Check(name, installed(name) is not None, installed(name) or "not installed", f"pip install '{name}'")
    for extra_name, names in extras.items():
        missing = [name for name in names if name != "triptych" and installed(name) is None]
        found = ", ".join(f"no {name}" for name in missing) or ", ".join(names)
        yield Check(f"[{extra_name}]", not missing, found, f"pip install 'triptych[{extra_name}]'", needed=False)


def _torch() -> Iterator[Check]:
    try:
        import torch
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        yield Check("torch", False, f"cannot be imported ({reason})", "install it as https://pytorch.org says")
        return
    from triptych.devices import pick

    device = pick("auto")
    probe = torch.ones(8, 8, device=device)
    works = bool((probe @ probe == 8).all())
    yield Check("arithmetic", works, f"torch {torch.__version__} on {device}", "install torch again")
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        yield Check("device", True, f"{torch.cuda.get_device_name()}, {'bfloat16' if fast else 'float32'}")
    else:
        yield Check("device", True, f"{device}, float32, {torch.get_num_threads()} threads")
    if device.type == "cpu":
        cure = "training runs on the processor; for a GPU install a torch build for it"
        yield Check("accelerator", False, "none that torch can use", cure, needed=False)


def _machine() -> Iterator[Check]:
    from triptych.machine import cores, memory, processor
    from triptych.words import size

    yield Check("processor", True, f"{processor()}, {cores()} cores to use")
    total, free = memory()
    if total is None or free is None:
        yield Check("memory", True, "unknown" if total is None else size(total))
        return
    found = f"{size(free)} free of {size(total)}"
    yield Check("memory", free >= LOW_MEMORY, found, "close other programs, or train with a smaller --set batch=", needed=False)


def _disk() -> Iterator[Check]:
    import os
    import shutil
    from pathlib import Path

    from triptych.data.places import VARIABLE, data_folder
    from triptych.words import size

    here, data = Path.cwd(), data_folder()
    for name, folder, cure in (
        ("working folder", here, "make room or change to another folder"),
        ("data folder", data, f"make room or set {VARIABLE} to another folder"),
    ):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free, writable = shutil.disk_usage(existing).free, os.access(existing, os.W_OK)
        found = f"{folder}, {size(free)} free" + ("" if writable else ", not writable")
        yield Check(name, writable and free >= LOW_DISK, found, cure)


def _data() -> Iterator[Check]:
    return iter(())
