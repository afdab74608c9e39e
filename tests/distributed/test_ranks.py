"""Several real processes train as one: the same images, noise and losses; and none is waited for long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import steps
from tiny import BATCH, TINY
from triptych import ranks
from triptych.errors import UsageError
from triptych.ranks.crew import Alone
from triptych.ranks.rows import sharing, total
from triptych.training.logbook import read

HERE = Path(__file__).parent
QUICK = ["mlp-gan", "dcgan", "vae", "flow"]
OTHERS = [
    "dcgan:objective.augment=ada",
    "dcgan:objective.game=relativistic-average:objective.penalty=dragan",
    "vae:model.prior.kind=vamp:model.fitted=gaussians:model.dropout=0.2:objective.free_bits=0.5"
    ":optimisers.prior.kind=adam",
    "edm:objective.pairing=transport",
    "edm:objective.pairing=nearest",
    "ddpm:model.conditional=true:model.net.dropout=0.2",
    "vqvae:model.masked=true:model.dropout=0.2",
    "stylegan2:model.conditional=true",
]


def torchrun(world: int, *words: str, **how: Any) -> subprocess.Popen[str]:
    """So many processes on this machine; they wait long for each other, since machines that test are busy."""
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TRIPTYCH_WAIT": "300", **how}
    return subprocess.Popen([*line, *words], stderr=subprocess.PIPE, text=True, env=env)


def on(world: int, tmp_path: Path, dtype: str, count: int, batch: int, wishes: list[str]) -> dict[str, steps.Numbers]:
    """The numbers of so many processes."""
    file = tmp_path / f"{world}.json"
    child = torchrun(world, str(HERE / "steps.py"), str(file), dtype, str(count), str(batch), *wishes)
    _, said = child.communicate(timeout=900)
    assert child.returncode == 0, said
    found: dict[str, steps.Numbers] = json.loads(file.read_text())
    return found


def furthest(one: steps.Numbers, other: steps.Numbers) -> float:
    """The largest relative difference of the losses of all turns."""
    pairs = [(a[key], b[key]) for a, b in zip(one[:-1], other[:-1], strict=True) for key in a if key.endswith("/loss")]
    assert pairs
    return max(abs(a - b) / max(abs(a), abs(b), 1e-3) for a, b in pairs)


def test_two_processes_are_one(tmp_path: Path) -> None:
    """Losses to 1e-12 in float64 with shares of 7 and 6 images, of networks with batch norm and dropout too."""
    one, two = steps.all_numbers("float64", 8, 13, QUICK), on(2, tmp_path, "float64", 8, 13, QUICK)
    for wish in QUICK:
        assert furthest(one[wish], two[wish]) < 1e-12, wish


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # torch's own, of its jvp
@pytest.mark.parametrize("world", [2, 4])
def test_every_model_is_the_same_on_any_number_of_processes(world: int, tmp_path: Path) -> None:
    wishes = [*TINY, *OTHERS]
    one, many = steps.all_numbers("float64", 8, 18, wishes), on(world, tmp_path, "float64", 8, 18, wishes)
    for wish in wishes:
        assert furthest(one[wish], many[wish]) < 1e-11, wish


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_two_hundred_steps_to_the_last_digits(world: int, tmp_path: Path) -> None:
    one, many = steps.all_numbers("float64", 200, 16, QUICK), on(world, tmp_path, "float64", 200, 16, QUICK)
    for wish in QUICK:
        assert furthest(one[wish], many[wish]) < 1e-12, wish


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_two_hundred_steps_in_float32(world: int, tmp_path: Path) -> None:
    """1e-5 at a recipe's own rate; the game of mlp-gan carries differences in the last digit on, and is left out."""
    wishes = ["dcgan", "vae", "flow:optimisers.denoise.rate=0.0005"]
    one, many = steps.all_numbers("float32", 200, 16, wishes), on(world, tmp_path, "float32", 200, 16, wishes)
    for wish in wishes:
        assert furthest(one[wish], many[wish]) < 1e-5, wish


PIECES = ["r3gan", "vae:model.dropout=0.2", "hvae", "flow", "edm:model.net.dropout=0.2", "consistency"]
COMPARE = [
    "mlp-gan",
    "edm:objective.pairing=transport",
    "ddpm:objective.levels=importance",
    "vae:objective.free_bits=1",
]


def in_pieces(pieces: int, wishes: list[str]) -> list[str]:
    return [f"{wish}:pieces={pieces}" for wish in wishes]


@pytest.mark.parametrize("wish", PIECES)
def test_pieces_are_the_batch(wish: str) -> None:
    """Gradients of three pieces of 5, 4 and 4 images add up to those of the batch of 13."""
    whole, parts = (steps.all_numbers("float64", 6, 13, in_pieces(n, [wish])) for n in (1, 3))
    assert furthest(*whole.values(), *parts.values()) < 1e-10


@pytest.mark.parametrize("wish", COMPARE)
def test_what_compares_images_does_not_go_in_pieces(wish: str) -> None:
    with pytest.raises(UsageError, match="compares all images of a batch"):
        steps.all_numbers("float64", 1, 13, in_pieces(2, [wish]))


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_the_same_pieces_give_the_same_bits_on_any_number_of_processes(world: int, tmp_path: Path) -> None:
    """Over two hundred steps in float32, all three families."""
    wishes = in_pieces(4, ["r3gan", "vae", "flow"])
    one, many = steps.all_numbers("float32", 200, 16, wishes), on(world, tmp_path, "float32", 200, 16, wishes)
    for wish in wishes:
        assert furthest(one[wish], many[wish]) < 1e-9, wish
        assert one[wish][-1] == many[wish][-1], wish


class Pair:
    """A crew of two of which only this one is there: the other is taken to hold zeros."""

    world = 2

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def add(self, x: Tensor) -> None:
        return None

    broadcast, handed_in, call, on_call = Alone.broadcast, Alone.handed_in, Alone.call, Alone.on_call
    most, aside, compare = Alone.most, Alone.aside, Alone.compare


@pytest.mark.parametrize("rank", [0, 1])
def test_rows_are_dealt_out_in_order(rank: int) -> None:
    x = torch.arange(7.0)
    with sharing(Pair(rank)), ranks.divided(7):
        mine = ranks.own(x)
        assert mine.tolist() == ([0, 1, 2] if rank == 0 else [3, 4, 5, 6])
        assert ranks.count(len(mine)) == 7
        assert ranks.weight(len(mine)) == len(mine) / 7
        assert ranks.whole(mine).tolist() == [v if v in mine else 0 for v in x.tolist()]
        assert torch.equal(ranks.draw(lambda n: torch.arange(float(n)), len(mine)), mine)
        with pytest.raises(ValueError, match="no share"):
            ranks.count(5)
        with pytest.raises(UsageError, match="1 images cannot be shared by 2 processes"), ranks.divided(1):
            pass
        with ranks.on_each():
            assert ranks.count(5) == 5


def test_a_sum_over_processes_can_be_differentiated_twice() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    with sharing(Pair(0)):
        assert torch.autograd.gradcheck(total, (x,))
        assert torch.autograd.gradgradcheck(lambda y: total(y).pow(3), (x,))


def train(world: int, run: Path, images: int, *words: str, **how: str) -> subprocess.Popen[str]:
    """`triptych train vae digits` on so many processes."""
    settings = [word for change in [*TINY["vae"], f"batch={BATCH}", *words] for word in ("--set", change)]
    line = ["train", "vae", "digits", "--out", str(run), "--images", str(images), "--device", "cpu", *settings]
    return torchrun(world, "-m", "triptych", *line, **how)


def test_a_run_goes_on_on_another_number_of_processes(tmp_path: Path, train_tiny: Any) -> None:
    """Four steps on two processes and four on one are eight on one."""
    child = train(2, tmp_path / "parts", 4 * BATCH)
    _, said = child.communicate(timeout=300)
    assert child.returncode == 0, said
    assert said.count("Wrote") == 1
    parts, whole = train_tiny("vae", 8, "parts"), train_tiny("vae", 8, "whole")
    assert (parts.seen, parts.steps) == (whole.seen, whole.steps)
    a, b = (load_file(Path(run.checkpoint) / "model.safetensors") for run in (parts, whole))
    for name, tensor in a.items():
        torch.testing.assert_close(tensor, b[name], rtol=1e-3, atol=1e-5)
    lines = [read(Path(run.run) / "metrics.jsonl") for run in (parts, whole)]
    assert lines[0][-1]["seen"] == lines[1][-1]["seen"]


def ranks_of(child: subprocess.Popen[str]) -> list[int]:
    """The process ids of the ranks, in order."""
    table = subprocess.run(["ps", "-o", "pid=", "--ppid", str(child.pid)], capture_output=True, text=True, check=False)
    return sorted(int(word) for word in table.stdout.split())


def begun(run: Path) -> None:
    """Wait until a run has written its first line."""
    deadline = time.monotonic() + 240
    while not (log := run / "metrics.jsonl").exists() or not log.read_text():
        assert time.monotonic() < deadline, "training did not start"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "seconds"), [(signal.SIGKILL, 60), (signal.SIGSTOP, 120)])
def test_a_rank_that_is_lost_ends_the_run(tmp_path: Path, number: signal.Signals, seconds: int) -> None:
    """Killed: soon. Stopped: after 30 s without a word, and 30 more that torchrun gives a process to end."""
    with train(2, tmp_path / "run", 10**9, TRIPTYCH_WAIT="60") as child:
        begun(tmp_path / "run")
        os.kill(ranks_of(child)[1], number)
        _, said = child.communicate(timeout=seconds)
    assert child.returncode != 0
    silent = 5 if number == signal.SIGKILL else 30
    assert f"Rank 1 is lost: it has said nothing for {silent} s." in said
    assert "(exitcode: 7)" in said or "exitcode  : 7" in said


@pytest.mark.slow
def test_a_signal_saves_once(tmp_path: Path) -> None:
    """SIGTERM to torchrun reaches all ranks, which end after the same step."""
    with train(2, tmp_path / "run", 10**9) as child:
        begun(tmp_path / "run")
        child.terminate()
        _, said = child.communicate(timeout=120)
    assert said.count("the same line again goes on") == 1
    assert len(list((tmp_path / "run" / "at").iterdir())) == 1


def test_another_recipe_on_one_rank_is_named(tmp_path: Path) -> None:
    """A rank whose data differ is refused before the first step, by its number."""
    script = f"""
import os, sys
from triptych.cli import main
size = "8" if os.environ["RANK"] == "0" else "16"
sys.exit(main(["train", "vae", "digits", "--out", {str(tmp_path / "run")!r}, "--images", "64", "--size", size,
    "--device", "cpu"]))
"""
    (tmp_path / "each.py").write_text(script)
    child = torchrun(2, str(tmp_path / "each.py"))
    _, said = child.communicate(timeout=300)
    assert child.returncode != 0
    assert said.count("error: Rank 1 has another recipe than rank 0") == 1
    assert "error: " not in said.replace("error: Rank 1 has", "")
    assert "exitcode: 7" in said.replace("  ", " ").replace(" :", ":")
