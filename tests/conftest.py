"""What the tests share: small runs, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tiny import BATCH, TINY
from triptych.commands.train import train
from triptych.screen import Screen


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny networks are fastest on one thread, and the suite disturbs its neighbours less."""
    torch.set_num_threads(1)


@pytest.fixture
def quiet() -> Screen:
    return Screen(quiet=True)


@pytest.fixture
def train_tiny(tmp_path: Path) -> Callable[..., Any]:
    """Train a shrunken model of the catalogue on digits for so many steps."""

    def run(
        name: str,
        steps: int,
        out: str | Path = "run",
        *,
        data: Any = "digits",
        changes: tuple[str, ...] = (),
        **how: Any,
    ) -> Any:
        settings = [*TINY[name], f"batch={BATCH}", *changes]
        folder = Path(out) if Path(out).is_absolute() else tmp_path / out
        return train(name, data, out=str(folder), images=steps * BATCH, set=settings, screen=Screen(quiet=True), **how)

    return run
