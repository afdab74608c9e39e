"""The loop, the average, the log: exact, resumable, and blind to what it trains."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tiny import BATCH, TINY
from triptych import recipe
from triptych.cli import main
from triptych.core import Batch, Turn
from triptych.errors import NumericsError, UsageError
from triptych.training.ema import Ema
from triptych.training.logbook import Logbook, read
from triptych.training.loop import train
from triptych.training.optimisers import adam, adamw
from triptych.training.state import Cast, State

Make = Callable[..., Any]


def newest(run: str) -> Path:
    return sorted((Path(run) / "at").iterdir())[-1]


def log_without_clock(run: str) -> list[dict[str, float]]:
    """The log but for times, and for what grids and scores tell, which are made by the clock."""
    return [
        {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
        for line in read(Path(run) / "metrics.jsonl")
        if not any(key.startswith(("samples/", "score/")) for key in line)
    ]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if recipe.read(name, "digits")["model"]["kind"] == "leap" else ())
        for name in recipe.names()  # those that leap take longest
    ],
)
def test_resuming_changes_no_bit(train_tiny: Make, name: str) -> None:
    """60 steps at once equal those of five runs one after the other: weights, average, optimisers, counters and log."""
    whole = train_tiny(name, 60, "whole")
    for cut in (1, 23, 37, 50):
        train_tiny(name, cut, "parts")
    parts = train_tiny(name, 60, "parts")
    assert (parts.seen, parts.steps) == (whole.seen, whole.steps) == (60 * BATCH, 60)
    for file in ("model.safetensors", "state.safetensors"):
        a, b = load_file(newest(whole.run) / file), load_file(newest(parts.run) / file)
        assert a.keys() == b.keys()
        for key, tensor in a.items():
            assert torch.equal(tensor, b[key]), key
    counters = [json.loads((newest(r.run) / "state.json").read_text()) for r in (whole, parts)]
    assert {**counters[0], "seconds": 0} == {**counters[1], "seconds": 0}
    assert log_without_clock(whole.run) == log_without_clock(parts.run)
    assert len(log_without_clock(whole.run)) == 1


def test_a_finished_run_says_so_and_writes_nothing(train_tiny: Make, capsys: pytest.CaptureFixture[str]) -> None:
    from triptych.commands.train import train as command
    from triptych.screen import Screen

    run = train_tiny("dcgan", 3)
    before = {p: p.stat().st_mtime_ns for p in Path(run.run).rglob("*") if p.name not in (".lock", "metrics.jsonl")}
    again = command(
        "dcgan", "digits", out=run.run, images=3 * BATCH, set=[*TINY["dcgan"], f"batch={BATCH}"], screen=Screen()
    )
    assert "is finished" in capsys.readouterr().err
    assert again.seen == run.seen
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_another_recipe_in_the_folder_is_refused_with_the_difference(train_tiny: Make) -> None:
    run = train_tiny("dcgan", 2)
    for changes, says in (
        (("model.width=5",), "model.width: 4 there, 5 here"),
        (("batch=8",), "batch: 16 there, 8 here"),
    ):
        with pytest.raises(UsageError, match=says):
            train_tiny("dcgan", 4, changes=changes)
    with pytest.raises(UsageError, match="seed: 0 there, 1 here"):
        train_tiny("dcgan", 4, seed=1)
    with pytest.raises(UsageError, match="name: dcgan there, mlp-gan here"):
        train_tiny("mlp-gan", 4)
    assert train_tiny("dcgan", 4).seen > run.seen


def test_a_folder_of_something_else_is_left_alone(train_tiny: Make, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="not empty and holds no run"):
        train_tiny("dcgan", 1)
    assert sorted(p.name for p in (tmp_path / "run").iterdir() if p.name not in (".lock", ".holder")) == ["thesis.tex"]


def test_two_processes_cannot_share_a_folder(train_tiny: Make, tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(UsageError, match="Another process"):
        train_tiny("dcgan", 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals, code: int) -> None:
    settings = [word for change in [*TINY["dcgan"], f"batch={BATCH}"] for word in ("--set", change)]
    line = [
        sys.executable,
        "-m",
        "triptych",
        "train",
        "dcgan",
        "digits",
        "--out",
        str(tmp_path / "r"),
        "--for",
        "10min",
        *settings,
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=env)
    deadline = time.monotonic() + 60
    while not (log := tmp_path / "r" / "metrics.jsonl").exists() or not log.read_text():
        assert time.monotonic() < deadline, "training did not start"
        time.sleep(0.05)
    child.send_signal(number)
    _, said = child.communicate(timeout=30)
    assert child.returncode == code, said
    assert "the same line again goes on" in said
    assert "Traceback" not in said
    assert len(list((tmp_path / "r" / "at").iterdir())) == 1


def test_kill_nine_loses_one_interval_at_most(tmp_path: Path, train_tiny: Make) -> None:
    """A real SIGKILL in the middle; the next start resumes from a whole checkpoint and ends with the same bits."""
    settings = [word for change in [*TINY["vae"], f"batch={BATCH}"] for word in ("--set", change)]
    line = [sys.executable, "-m", "triptych", "train", "vae", "digits", "--out", str(tmp_path / "killed"), "--images",
            "100M", "--save-every", "0.05s", *settings]  # fmt: skip
    child = subprocess.Popen(line, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "killed").glob("at/0*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.wait()
    (tmp_path / "killed" / "at" / ".000000000001.part").mkdir()  # what a kill in mid-write leaves
    seen = int(newest(str(tmp_path / "killed")).name)
    steps = seen // BATCH + 10
    resumed, whole = train_tiny("vae", steps, "killed"), train_tiny("vae", steps, "whole")
    assert not list((tmp_path / "killed" / "at").glob(".*"))
    a, b = (load_file(newest(r.run) / "state.safetensors") for r in (resumed, whole))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert log_without_clock(resumed.run) == log_without_clock(whole.run)


class Pair(nn.Module):
    """Two players with one number each, and a frozen part."""

    def __init__(self) -> None:
        super().__init__()
        self.mine, self.frozen = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1), requires_grad=False)


def play(turns: list[Turn], cast: Cast, steps: int, state: State | None = None) -> State:
    state = state or State(seed=0)

    class Ones:
        def batch(self, seen: int) -> Batch:
            return Batch(torch.ones(4, 1, 2, 2))

    end = state.steps + steps
    train(cast, turns, Ones(), state, lambda s: s.steps >= end, [], lambda name, stats: None, contextlib.nullcontext)
    return state


def test_only_the_turns_own_parameters_move() -> None:
    model, other = Pair(), Pair()
    moved = []

    def loss(batch: Batch, seen: int) -> Any:
        moved.append([p.requires_grad for p in (*model.parameters(), *other.parameters())])
        return (model.mine * other.mine * batch.images.flatten(1).mean(1)), {}

    turns = [Turn("one", [model.mine], loss), Turn("two", [other.mine], loss, every=2)]
    makers = {"one": adam(0.1), "two": adam(0.1)}
    cast = Cast(model, other, {t.name: makers[t.name](t.moves) for t in turns}, None)
    play(turns, cast, 1)
    assert moved == [[True, False, False, False], [False, False, True, False]]
    after_one = other.mine.item()
    play(turns, cast, 1, State(seed=0, seen=4, steps=1))
    assert len(moved) == 3  # turn two is played at every other step
    assert other.mine.item() == after_one
    assert model.frozen.item() == other.frozen.item() == 1


def test_a_turn_is_played_within_its_span() -> None:
    """4 images a step: one ends where the other begins, in one go and after a stop."""
    model = Pair()
    played: list[tuple[str, int]] = []

    def told(name: str) -> Any:
        def loss(batch: Batch, seen: int) -> Any:
            played.append((name, seen))
            return model.mine.expand(4), {}

        return loss

    turns = [Turn("one", [model.mine], told("one"), span=(0, 8)), Turn("two", [model.mine], told("two"), 2, (8, 24))]
    cast = Cast(model, nn.Module(), {t.name: adam(0.1)(t.moves) for t in turns}, None)
    play(turns, cast, 8)
    assert played == [("one", 0), ("one", 4), ("two", 8), ("two", 16)]
    whole = list(played)
    played.clear()
    for at in range(0, 32, 4):
        play(turns, cast, 1, State(seed=0, seen=at, steps=at // 4))
    assert played == whole


def test_noise_follows_seed_seen_and_turn() -> None:
    model = Pair()
    drawn: list[float] = []

    def loss(batch: Batch, seen: int) -> Any:
        drawn.append(torch.randn(()).item())
        return model.mine.expand(4), {}

    turns = [Turn("a", [model.mine], loss), Turn("b", [model.mine], loss)]
    cast = Cast(model, nn.Module(), {t.name: adam(0.1)(t.moves) for t in turns}, None)
    play(turns, cast, 2)
    first = list(drawn)
    torch.manual_seed(99)
    drawn.clear()
    play(turns, cast, 1, State(seed=0, seen=4, steps=1))
    assert drawn == first[2:]
    assert len(set(first)) == 4


def test_turns_and_optimisers_must_match() -> None:
    model = Pair()
    turn = Turn("critic", [model.mine], lambda batch, seen: (model.mine.expand(4), {}))
    with pytest.raises(UsageError, match="did you mean 'critic'"):
        play([turn], Cast(model, nn.Module(), {"critik": adam(0.1)([model.mine])}, None), 1)
    with pytest.raises(UsageError, match=r"add optimisers\.critic"):
        play([turn], Cast(model, nn.Module(), {}, None), 1)


def test_average_of_a_constant() -> None:
    """1 - beta^n: beta = .999 a step, 1000 steps: 0.6323046."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    half_life = 1000 * math.log(0.5) / math.log(0.999)
    ema = Ema(model, 1, ramp_up=1e9)
    ema.half_life = half_life  # type: ignore[assignment]
    nn.init.ones_(model.weight)
    for step in range(1000):
        ema.follow(1000, 1000 * (step + 1))
    assert ema.model.weight.item() == pytest.approx(1 - 0.999**1000, abs=1e-12)
    assert 1 - 0.999**1000 == pytest.approx(0.6323046, abs=1e-7)


def test_average_forgets_the_first_weights() -> None:
    model = nn.Linear(1, 1)
    ema = Ema(model, 50_000, 0.05)
    assert ema.decay(64, 0) == 0
    assert ema.decay(64, 64) == pytest.approx(0.5 ** (64 / 3.2))
    assert ema.decay(64, 10**9) == pytest.approx(0.5 ** (64 / 50_000))


def test_average_takes_buffers_too() -> None:
    model = nn.BatchNorm1d(2)
    ema = Ema(model, 100, 1.0)
    model.running_mean.fill_(1.0)  # type: ignore[union-attr]
    model.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    ema.follow(100, 10**6)
    assert ema.model.running_mean.tolist() == [0.5, 0.5]  # type: ignore[union-attr]
    assert ema.model.num_batches_tracked.item() == 7  # type: ignore[union-attr]


def test_adam_follows_its_algorithm() -> None:
    """Two steps by hand, with a ramp of one half and clipping to norm 1."""
    weight = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    optimiser = adamw(0.1, (0.5, 0.9), 1e-8, 0.1, clip=1.0, ramp=lambda seen: 0.5)([weight])
    w, m, v = torch.tensor([1.0, 2.0], dtype=torch.float64), 0.0, 0.0
    for t, gradient in enumerate((torch.tensor([3.0, 4.0]).double(), torch.tensor([0.1, -0.2]).double()), 1):
        weight.grad = gradient.clone()
        optimiser.step(0)
        g = gradient / max(1.0, gradient.norm().item() + 1e-6)
        m, v = 0.5 * m + 0.5 * g, 0.9 * v + 0.1 * g**2
        w = w * (1 - 0.05 * 0.1) - 0.05 * (m / (1 - 0.5**t)) / ((v / (1 - 0.9**t)) ** 0.5 + 1e-8)
        torch.testing.assert_close(weight.detach(), w, rtol=1e-9, atol=1e-9)
        assert weight.grad is None


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": -1.0}, {"betas": (1.0, 0.9)}, {"betas": (0.5, -0.1)}])
def test_optimisers_refuse_what_cannot_work(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="rate above 0"):
        adam(**wrong)


def test_log_means_and_torn_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    state = State(seed=0, seen=8, steps=2, seconds=2.0)
    book = Logbook(path, State(seed=0), every=2)
    for value in (1.0, 3.0):
        book.note("turn", {"loss": torch.tensor(value)})
    book(state)
    with path.open("a") as file:
        file.write('{"seen": 16, "seconds": 4.0, "turn/loss": 5.0}\n{"seen": 24, "turn')
    assert [line["seen"] for line in read(path)] == [8, 16]
    Logbook(path, state)  # resuming at 8 images drops what came after
    lines = read(path)
    assert [line["seen"] for line in lines] == [8]
    assert lines[0]["turn/loss"] == 2.0
    assert lines[0]["images_per_second"] == 4.0


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "metrics.jsonl", State(seed=0), every=1)
    book.note("critic", {"loss": torch.tensor(float("nan"))})
    with pytest.raises(NumericsError, match="critic/loss is no longer a finite number"):
        book(State(seed=0, seen=4, steps=1))


def test_weights_that_are_no_numbers_are_never_saved(train_tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(NumericsError):
        train_tiny("vae", 60, changes=("optimisers.bound.rate=1.0e+30",))
    assert not list((tmp_path / "run" / "at").glob("0*"))


def test_held_out_loss_is_logged_and_moves_nothing(train_tiny: Make) -> None:
    run = train_tiny("dcgan", 510)
    lines = log_without_clock(run.run)
    assert [line["seen"] for line in lines if "critic/held_out" in line] == [500 * BATCH]


def test_a_run_stops_where_held_out_images_fare_no_better(train_tiny: Make) -> None:
    """With a rate of 0 nothing improves after the first measurement, at step 500."""
    still = ("optimisers.bound.rate=1.0e-30",)
    stop = ("stop.watch=bound/bound", f"stop.patience={BATCH * 100}")
    first = train_tiny("vae", 2000, changes=(*still, *stop))
    assert first.seen == BATCH * 600
    again = train_tiny("vae", 2000, changes=(*still, *stop))
    assert again.seen == first.seen
    on = train_tiny("vae", 620, changes=(*still, "stop=null"))
    assert on.seen == BATCH * 620


def test_a_number_to_watch_that_is_none_is_named(train_tiny: Make) -> None:
    with pytest.raises(UsageError, match=r"stop\.watch"):
        train_tiny("vae", 1, changes=("stop.watch=bond/bound", "stop.patience=1"))


def test_tensorboard_gets_the_same_numbers(train_tiny: Make) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train_tiny("vae", 50, tensorboard=True)
    events = EventAccumulator(str(Path(run.run) / "tensorboard")).Reload()
    (line,) = log_without_clock(run.run)
    for name in ("bound/loss", "bound/kl"):
        (event,) = events.Scalars(name)
        assert (event.step, event.value) == (50 * BATCH, pytest.approx(line[name]))


def test_what_cannot_be_built_leaves_no_run_behind(train_tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reduced 16 times"):
        train_tiny("autoencoder-kl", 1, changes=("model.reduction=16",))
    assert train_tiny("autoencoder-kl", 1).finished


def test_the_progress_line_arrives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However fast the steps are: lines are drawn four times a second, and at the end."""
    assert main(["train", "mlp-gan", "digits", "--images", "300", "--scores", "0", "--out", str(tmp_path / "r")]) == 0
    said = capsys.readouterr().err
    assert "100%" in said
    assert "320 images" in said
