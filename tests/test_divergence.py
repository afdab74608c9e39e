"""Training that diverges: the step is kept and can be played again, and the run stops or goes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tiny import BATCH, TINY
from triptych.commands.replay import replay
from triptych.commands.train import train
from triptych.errors import CheckpointError, NumericsError, UsageError
from triptych.rescue import MOST
from triptych.screen import Screen
from triptych.training.divergence import Diverged
from triptych.training.logbook import read
from triptych.training.optimisers import adam

Make = Callable[..., Any]
WILD = ("optimisers.bound.rate=1e30",)  # one step of it, and no loss is finite
QUIET = Screen(quiet=True)


def test_a_step_that_is_not_finite_moves_nothing_and_is_kept(train_tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"after 16 images; no weight has moved.*'triptych replay .*--on-div") as caught:
        train_tiny("flow", 60, changes=("optimisers.denoise.rate=1e30",))
    assert caught.value.code == 6
    kept = tmp_path / "run" / "diverged"
    step = json.loads((kept / "step.json").read_text())
    assert step["turn"] == "denoise"
    assert step["seen"] == json.loads((kept / "state.json").read_text())["seen"] == BATCH
    tensors = load_file(kept / "state.safetensors")
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values() if tensor.is_floating_point())


def test_the_step_is_played_again_as_it_was(train_tiny: Make, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Diverged) as caught:
        train_tiny("vae", 60, changes=WILD)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    found = replay(str(run), screen=QUIET)
    assert (found.turn, found.seen, found.images_finite) == (caught.value.turn, caught.value.seen, True)
    assert found.loss == f"{caught.value.loss:g}"
    assert tuple(found.gradients) == caught.value.gradients
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_the_step_is_kept_where_the_plan_already_diverges(tmp_path: Path) -> None:
    """As a user would start it, with all that is said before the first step."""
    with pytest.raises(Diverged, match="The step is kept"):
        train("vae", "digits", out=str(tmp_path / "run"), images=5000, set=[*TINY["vae"], *WILD], screen=Screen())


def test_a_run_without_such_a_step_is_told_so(train_tiny: Make) -> None:
    run = train_tiny("vae", 2)
    with pytest.raises(CheckpointError, match="holds no diverged/: no step of it was kept"):
        replay(run.run, screen=QUIET)


def test_a_run_goes_back_with_half_the_rate(train_tiny: Make) -> None:
    """A rate of 60 is too high for this model, one of 7.5 is not."""
    run = train_tiny("vae", 60, changes=("optimisers.bound.rate=60.0",), on_divergence="rollback", save_every=0.01)
    counters = json.loads((Path(run.checkpoint) / "state.json").read_text())
    assert 1 <= counters["eased"] <= MOST
    assert run.seen == 60 * BATCH
    assert [line["seen"] for line in read(Path(run.run) / "metrics.jsonl") if "bound/loss" in line] == [50 * BATCH]


def test_a_run_goes_back_three_times_and_no_more(train_tiny: Make) -> None:
    with pytest.raises(NumericsError, match=f"It went back {MOST} times before"):
        train_tiny("vae", 60, changes=WILD, on_divergence="rollback")


def test_halved_rates_outlive_a_restart(train_tiny: Make) -> None:
    """Going on in two parts is going on in one, with the halved rate in both."""
    how = {"changes": ("optimisers.bound.rate=60.0",), "on_divergence": "rollback", "save_every": 0.01}
    whole = train_tiny("vae", 60, "whole", **how)
    for steps in (40, 60):
        parts = train_tiny("vae", steps, "parts", **how)
    a, b = (load_file(Path(run.checkpoint) / "state.safetensors") for run in (whole, parts))
    assert all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_an_unknown_way_is_refused(train_tiny: Make) -> None:
    with pytest.raises(UsageError, match="--on-divergence explode: there is no such way"):
        train_tiny("vae", 2, on_divergence="explode")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_an_optimiser_refuses_gradients_that_are_not_finite(value: float) -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimiser = adam()([weight])
    weight.grad = torch.tensor([value, 0.0])
    with pytest.raises(FloatingPointError):
        optimiser.step(0)
    assert weight.tolist() == [1.0, 2.0]
    assert optimiser.torch.state == {}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_nothing_moves_and_nobody_waits() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0], device="cuda"))
    optimiser = adam()([weight])
    weight.grad = torch.tensor([float("nan"), 0.0], device="cuda")
    assert optimiser.step(0).isnan()
    assert weight.tolist() == [1.0, 2.0]
