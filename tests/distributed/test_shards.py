"""Processes that share out moments and averages train as those that each keep all, and hold less."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_ranks import on

import steps

FAMILIES = ["r3gan", "dcgan:objective.penalty=r1", "wgan", "vae", "vqvae", "flow", "edm:optimisers.denoise.skip=1"]


def held(numbers: steps.Numbers) -> list[float]:
    """The bytes of each process."""
    return list(numbers[-2].values())


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_the_same_bits_as_where_each_keeps_all(world: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, norms, weights, averages and moments over 30 steps in float32, of all families, penalties included."""
    whole = on(world, tmp_path, "float32", 30, 16, FAMILIES)
    monkeypatch.setenv("TRIPTYCH_SHARD", "1")
    parts = on(world, tmp_path, "float32", 30, 16, FAMILIES)
    for wish in FAMILIES:
        assert whole[wish][:-2] == parts[wish][:-2], wish
        assert whole[wish][-1] == parts[wish][-1], wish
        print(wish, held(whole[wish]), held(parts[wish]))
