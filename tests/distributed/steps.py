"""A few steps of models of the catalogue, as each process of a crew takes them; run by torchrun.

    steps.py FILE DTYPE STEPS BATCH NAME[:KEY=VALUE...] ...

Rank 0 writes FILE: for each NAME the numbers of each turn of each step, and what all tensors are at the end. With
TRIPTYCH_SHARD=1 the processes share out moments and averages; last come the bytes that each then holds.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny import TINY
from triptych import chance, ranks, recipe, schema
from triptych.core import Batch
from triptych.data import Stream, open_data
from triptych.ranks.joining import joined
from triptych.ranks.rows import crew
from triptych.training.ema import Ema
from triptych.training.loop import train
from triptych.training.state import Cast, State

Numbers = list[dict[str, float]]


class Cast64:
    """A stream whose images have the default type."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def batch(self, seen: int) -> Batch:
        images, given = self.stream.batch(seen)
        return Batch(images.to(torch.get_default_dtype()), given)


def numbers(wish: str, steps: int, batch: int) -> Numbers:
    """What the turns of a shrunken model on digits log in so many steps, and last the mean of its average's weights."""
    from contextlib import nullcontext

    among = ranks.crew_for("TRIPTYCH_SHARD" in os.environ)
    name, *changes = wish.split(":")
    tree = schema.complete(recipe.read(name, "x", None, [*TINY[name], *changes]))
    source = open_data("digits").train
    facts = {"image_shape": source.image_shape, "classes": len(source.class_names)}
    noted: Numbers = []

    def note(turn: str, stats: Any) -> None:
        noted.append({f"{turn}/{key}": float(value) for key, value in stats.items()})

    with ranks.divided(batch, pieces=tree["pieces"]):
        chance.reseed(0, "model")
        model = schema.build("model", tree["model"], facts)
        objective = schema.build("objective", tree["objective"], {**facts, "classes": model.classes})
        ranks.gathered(model, objective)
        turns = list(objective.turns(model))
        optimisers = {t.name: schema.build("optimiser", tree["optimisers"][t.name], facts)(t.moves) for t in turns}
        cast = Cast(model, objective, optimisers, Ema(model, 100, 0.05)).shard(among)
        stream = Cast64(Stream(source, 0, batch, flip=True, shift=1))
        train(cast, turns, stream, State(0), lambda s: s.steps >= steps, [], note, nullcontext)
    noted.append({f"bytes/{rank}": float(held) for rank, held in enumerate(on_all(bytes_of(cast)))})
    noted.append(ended(cast))
    return noted


def bytes_of(cast: Cast) -> int:
    """The memory that this process has for weights, averages and moments."""
    owners = [*cast.model.parameters(), *cast.objective.parameters(), *cast.shown.parameters()]
    moments = [t for one in cast.optimisers.values() for memory in one.torch.state.values() for t in memory.values()]
    return sum({t.data_ptr(): t.untyped_storage().nbytes() for t in [*owners, *moments]}.values())


def on_all(number: int) -> list[int]:
    """The numbers of all processes, by rank."""
    told = torch.zeros(crew().world, dtype=torch.int64)
    told[crew().rank] = number
    crew().add(told)
    return [int(one) for one in told]


def ended(cast: Cast) -> dict[str, float]:
    """The mean size of each tensor as rank 0 would save it; the others wait, as they do in a run."""
    found = {}
    leads = ranks.leads()
    with ranks.in_turn():
        if leads:
            with cast.whole(moments=True):
                held = {**cast.shown.state_dict(), **cast.tensors()}
                found = {key: float(tensor.double().abs().mean()) for key, tensor in held.items()}
    return found


def all_numbers(dtype: str, steps: int, batch: int, wishes: list[str]) -> dict[str, Numbers]:
    """Those of each wish, in this type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        return {wish: numbers(wish, steps, batch) for wish in wishes}
    finally:
        torch.set_default_dtype(before)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined("cpu"):
        found = all_numbers(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5:])
        if ranks.leads():
            Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
