"""Where a process stands among those that torchrun started together; needs no torch."""

from __future__ import annotations

import os
from typing import NamedTuple


class Place(NamedTuple):
    """One process of `world`, on a machine that runs `near` of them."""

    rank: int
    world: int
    local: int  # its number on its own machine, and so that of its GPU
    near: int

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes, speaks, samples and scores."""
        return self.rank == 0


def place() -> Place:
    """That of this process, as torchrun's variables say; rank 0 of 1 without them."""
    words = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")]
    if not all(word.isdigit() for word in words) or "MASTER_ADDR" not in os.environ:
        return Place(0, 1, 0, 1)
    return Place(*(int(word) for word in words))
