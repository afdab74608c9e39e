"""How a run computes: in which precision its products are, and whether its networks are compiled.

A recipe may leave either open ("auto"). What is then chosen is written into the run's recipe, so that the run goes on
with the same numbers however often it is resumed, and on another machine too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from triptych import devices, recipe
from triptych.core import Model, Objective
from triptych.data import Splits
from triptych.errors import UsageError, nearest

Settle = Callable[[dict[str, Any], Splits, torch.device, Path], dict[str, Any]]
OPEN = "auto"
CHOICES = {"precision": {name: name for name in (OPEN, *devices.PRECISIONS)},
           "compile": {OPEN: OPEN, "on": "true", "off": "false"}}  # fmt: skip


def checked(**flags: str) -> dict[str, str]:
    """What flags stand for in a recipe; raises a `UsageError` for a word that there is not."""
    for name, word in flags.items():
        if word not in CHOICES[name]:
            raise UsageError(f"--{name} {word}: {nearest(word, CHOICES[name])}")
    return {name: CHOICES[name][word] for name, word in flags.items()}


def changes(**flags: str | None) -> tuple[str, ...]:
    """The flags that somebody gave, as changes of the recipe; raises as `checked` does."""
    given = {name: str(word) for name, word in flags.items() if word is not None}
    return tuple(f"{name}={value}" for name, value in checked(**given).items())


def usual(tree: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The tree with what is open as it is where nobody measures: bfloat16 on the GPUs that have it, not compiled."""
    precision = "bfloat16" if devices.is_half(device) else "float32"
    asked = tree.get("precision", OPEN)
    return {**tree, "precision": precision if asked == OPEN else asked, "compile": tree.get("compile") is True}


def unmeasured(tree: dict[str, Any], splits: Splits, device: torch.device, folder: Path) -> dict[str, Any]:
    """The simplest way to settle a tree: as in the run of `folder` where one has begun, else as usual."""
    path = folder / "recipe.yaml"
    if path.exists():
        begun = usual(recipe.read_file(path), device)  # the oldest runs do not say
        tree = {**tree, **{name: begun[name] for name in CHOICES if tree[name] == OPEN}}
    return usual(tree, device)


def region(tree: dict[str, Any], device: torch.device) -> AbstractContextManager[object]:
    """The autocast region in which a loss of this recipe is taken."""
    if tree.get("compile") is True and device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # the last loss is no longer needed
    return devices.autocast(device, tree.get("precision", OPEN))


def no_compiler(device: torch.device) -> str | None:
    """Why nothing can be compiled for the device, such as for want of a C++ compiler; None where it can."""
    try:
        torch.compile(torch.neg)(torch.ones(8, device=device))
    except Exception as error:  # a compiler fails in more ways than it has errors
        return reason(error)
    return None


def reason(error: Exception) -> str:
    """The first line of what a compiler says, without its full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def compile_networks(owner: nn.Module, device: torch.device) -> None:
    """Let the networks of a model or an objective be compiled when they are first asked.

    Weights and their names stay. Chance is drawn as without, so that dropout is the same. On a GPU each network
    becomes a CUDA graph.
    """
    options: dict[str, Any] = {"fallback_random": True, "triton.cudagraphs": device.type == "cuda"}
    for network in _networks(owner):
        network.compile(dynamic=False, options=options)


def _networks(owner: nn.Module) -> Iterator[nn.Module]:
    """The parts that do not consist of models and objectives themselves."""
    for part in owner.children():
        if isinstance(part, (Model, Objective)):
            yield from _networks(part)
        else:
            yield part
