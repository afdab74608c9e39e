"""Processes that deal out moments and averages train as those that each keep all, and hold less."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_ranks import on, ranks_of, torchrun
from torch import nn

import steps
from tiny import BATCH, TINY
from triptych.errors import UsageError
from triptych.ranks import KEPT_BY_ALL, Shards
from triptych.ranks.crew import Alone
from triptych.ranks.rows import messages
from triptych.store import checkpoints, newest
from triptych.training.ema import Ema
from triptych.training.optimisers import Maker, adam, rmsprop

FAMILIES = ["r3gan", "dcgan:objective.penalty=r1", "wgan", "vae", "vqvae", "flow", "edm"]


def some(*lengths: int) -> list[nn.Parameter]:
    return [nn.Parameter(torch.arange(float(length))) for length in lengths]


class Four(Alone):
    """A crew of which nobody else is there."""

    world = 4


def test_nobody_keeps_more_than_an_even_share_and_one_parameter() -> None:
    parameters = some(*range(1, 40), 100)
    sizes = {parameter: parameter.nbytes for parameter in parameters}
    kept = []
    for rank in range(4):
        crew = Four()
        crew.rank = rank
        kept.append([p for p in parameters if Shards(sizes, crew).keeps(p)])
    assert sorted(len(p) for part in kept for p in part) == [*range(1, 40), 100]
    bytes_of = [sum(sizes[p] for p in part) for part in kept]
    assert max(bytes_of) - min(bytes_of) <= 100 * 4
    assert max(bytes_of) < 1.05 * sum(sizes.values()) / 4


def test_what_is_not_dealt_out_is_kept_by_all() -> None:
    (parameter,) = some(3)
    assert not KEPT_BY_ALL.dealt
    for shards in (KEPT_BY_ALL, Shards({parameter: 12}, Alone()), Shards({}, Four())):
        assert shards.keeps(parameter)
        assert not shards.alone(parameter)
        assert shards.fetched(0) == {}


def test_messages_are_of_one_kind_and_not_too_long() -> None:
    parameters = some(4, 3, 3, 9, 1, 2)
    kinds = dict(zip(parameters, "aabaab", strict=True))
    told = list(messages(parameters, kinds.__getitem__, most=7))
    assert sorted([[len(p) for p in group] for group in told]) == [[1], [3, 2], [4, 3], [9]]
    assert all(len({kinds[p] for p in group}) == 1 for group in told)


def test_averages_of_others_take_no_memory() -> None:
    """Those that are kept follow as ever; to look at the others is an error, but for as long as there is room."""
    model: Any = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    crew = Four()
    crew.world = 2
    shards = Shards({p: p.nbytes for p in model.parameters()}, crew)
    ema, whole = Ema(model, 100, 0.05), Ema(model, 100, 0.05)
    ema.shard(shards)
    held = sum(p.untyped_storage().nbytes() for p in ema.model.parameters())
    assert held == sum(p.nbytes for p in model.parameters()) / 2
    for parameter in model.parameters():
        parameter.data.add_(1)
    for one in (ema, whole):
        one.follow(16, 10_000)
    pairs = list(zip(model.parameters(), ema.model.parameters(), whole.model.parameters(), strict=True))
    assert all(torch.equal(mean, full) for live, mean, full in pairs if shards.keeps(live))
    with pytest.raises(RuntimeError):
        ema.model(torch.zeros(1, 8))
    with ema.room():
        ema.model.load_state_dict(whole.model.state_dict())
        assert torch.equal(ema.model(torch.ones(1, 8)), whole.model(torch.ones(1, 8)))
    assert held == sum(p.untyped_storage().nbytes() for p in ema.model.parameters())


@pytest.mark.parametrize("make", [adam(), rmsprop()])
def test_who_keeps_nothing_moves_nothing_and_waits_for_the_others(make: Maker) -> None:
    """Rank 1 of four, where there is one parameter; nobody is there to send it."""
    model: Any = nn.Linear(3, 1, bias=False)
    crew = Four()
    crew.rank = 1
    shards, before = Shards({model.weight: 12}, crew), model.weight.detach().clone()
    optimiser, ema = make([model.weight]), Ema(model, 100, 0.05)
    optimiser.shards = shards
    ema.shard(shards)
    model(torch.ones(2, 3)).sum().backward()
    assert optimiser.step(0) > 0
    ema.follow(16, 16)
    assert torch.equal(model.weight, before)
    assert not optimiser.torch.state


def test_one_process_has_nothing_to_deal_out(train_tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="deals out what several processes keep, and this is one; start more"):
        train_tiny("vae", 2, shard=True)
    assert not (tmp_path / "run").exists()


def held(numbers: steps.Numbers) -> list[float]:
    """The bytes of weights, averages and moments on each process."""
    return list(numbers[-2].values())


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_the_same_bits_as_where_each_keeps_all(world: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, norms, weights, averages and moments over ten steps in float32, of all families, penalties included.

    Of 16 bytes for each parameter of `flow`, 4 + 12 / N are left on each of N processes. The shrunken `vae` is one of
    those that are mostly two parameters, which are not cut.
    """
    whole = on(world, tmp_path, "float32", 10, 16, FAMILIES)
    monkeypatch.setenv("TRIPTYCH_SHARD", "1")
    parts = on(world, tmp_path, "float32", 10, 16, FAMILIES)
    for wish in FAMILIES:
        assert whole[wish][:-2] == parts[wish][:-2], wish
        assert whole[wish][-1] == parts[wish][-1], wish
        assert max(held(parts[wish])) < min(held(whole[wish])), wish
    assert max(held(parts["flow"])) < 1.02 * (4 + 12 / world) / 16 * held(whole["flow"])[0]


SETTINGS = ["pieces=2", f"batch={BATCH}"]
SHORT = 20_000  # images of a training that is over before ways of computing are measured


def begin(world: int, run: Path, name: str, images: int, *words: str) -> subprocess.Popen[str]:
    """`triptych train NAME digits`, computed in pieces: the same bits on one process and on two."""
    settings = [word for change in [*TINY[name], *SETTINGS] for word in ("--set", change)]
    line = ["train", name, "digits", "--out", str(run), "--images", str(images), "--device", "cpu", "--quiet"]
    return torchrun(world, "-m", "triptych", *line, *settings, *words)


def through(world: int, run: Path, name: str, images: int, *words: str) -> None:
    child = begin(world, run, name, images, *words)
    _, said = child.communicate(timeout=600)
    assert child.returncode == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r3gan", "vae", "flow"])
def test_a_run_is_killed_and_goes_on_on_another_number(name: str, tmp_path: Path, train_tiny: Any) -> None:
    """In shards on two, killed; on one; in shards on two again: the files of a run on one, to the last bit."""
    parts = tmp_path / "parts"
    with begin(2, parts, name, SHORT, "--shard", "--save-every", "0.05s") as child:
        deadline = time.monotonic() + 300
        while not checkpoints(parts):
            assert time.monotonic() < deadline, "training did not start"
            time.sleep(0.05)
        os.kill(ranks_of(child)[0], signal.SIGKILL)
        child.communicate(timeout=120)
    assert child.returncode != 0
    last, complaints = newest(parts)
    assert last
    assert not complaints
    seen = int(last.name)
    through(1, parts, name, seen + 4 * BATCH)
    through(2, parts, name, seen + 8 * BATCH, "--shard")
    whole = Path(train_tiny(name, seen // BATCH + 8, "whole", changes=("pieces=2",)).run)
    for file in ("model.safetensors", "state.safetensors"):
        one, other = (load_file(checkpoints(run)[-1] / file) for run in (parts, whole))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one), file
    grids = [sorted((run / "samples").iterdir())[-1] for run in (parts, whole)]
    assert grids[0].name == grids[1].name
    assert grids[0].read_bytes() == grids[1].read_bytes()


@pytest.mark.slow
def test_a_step_that_diverges_is_kept_whole_and_gone_back_from(tmp_path: Path) -> None:
    """The state that is kept has the moments and averages of both; the run goes back, and ends as it would on one."""
    run = tmp_path / "run"
    wild = ["--set", "optimisers.bound.rate=60", "--on-divergence", "rollback", "--save-every", "0.01s"]
    child = begin(2, run, "vae", 60 * BATCH, "--shard", *wild)
    _, said = child.communicate(timeout=600)
    assert (run / "diverged" / "step.json").exists(), said
    kept = load_file(run / "diverged" / "state.safetensors")
    assert kept.keys() == load_file(checkpoints(run)[-1] / "state.safetensors").keys()
