"""`triptych doctor`: what works on this machine, what is missing, and the cure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from triptych.errors import ResourceError
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from pathlib import Path

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
    for check in checks:
        state = "works" if check.works else "missing" if check.needed else "optional"
        screen.say(f"{state:8}  {check.name:19}  {check.found}" + ("" if check.works else f": {check.cure}"))
    wrong = [check for check in checks if check.needed and not check.works]
    if wrong:
        raise ResourceError(" ".join(f"{check.name}: {check.found}: {check.cure}." for check in wrong))
    return Health(True, checks)


def _kept(part: Callable[[], Iterator[Check]]) -> list[Check]:
    """A part's lines; a part that breaks becomes a line itself, since a doctor must not fall ill."""
    checks: list[Check] = []
    try:
        for check in part():
            checks.append(check._replace(cure="") if check.works else check)
    except Exception as error:
        cure = "install triptych again in a fresh environment"
        checks.append(Check(part.__name__.strip("_"), False, _reason(error), cure))
    return checks


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


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
            found = installed(name)
            yield Check(name, found is not None, found or "not installed", f"pip install '{name}'")
    for title, names in extras.items():
        missing = [name for name in names if installed(name) is None]
        words = ", ".join(f"no {name}" for name in missing) or ", ".join(names)
        yield Check(f"[{title}]", not missing, words, f"pip install 'triptych[{title}]'", needed=False)


def _torch() -> Iterator[Check]:
    try:
        import torch
    except Exception as error:
        yield Check("torch", False, _reason(error), "install it as https://pytorch.org says")
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
    cure = "close other programs, or train with a smaller --set batch="
    yield Check("memory", free >= LOW_MEMORY, found, cure, needed=False)


def _disk() -> Iterator[Check]:
    from pathlib import Path

    yield _folder("working folder", Path.cwd(), "make room or change to another folder")


def _data() -> Iterator[Check]:
    from triptych.data import NAMED, data_folder
    from triptych.data.places import VARIABLE

    yield _folder("data folder", data_folder(), f"make room or set {VARIABLE} to another folder")
    for name, official in NAMED.items():
        here = official is None or (data_folder() / name / f"{name}.pack").exists()
        cure = f"it is fetched when a command first names {name}"
        yield Check(f"data {name}", here, "ready" if here else "not here yet", cure, needed=False)


def _folder(name: str, folder: Path, cure: str) -> Check:
    """Whether there is room in a folder, or where it would be made, and leave to write."""
    import os
    import shutil

    from triptych.words import size

    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free, writable = shutil.disk_usage(existing).free, os.access(existing, os.W_OK)
    found = f"{folder}, {size(free)} free" + ("" if writable else ", not writable")
    return Check(name, writable and free >= LOW_DISK, found, cure)
