"""A small part of the fault harness; `make faults N=1000` is all of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faults import shim
from triptych import store
from triptych.errors import CheckpointError, ResourceError, explained
from triptych.training.interrupt import listening

ROOT = Path(__file__).parent.parent
TREE = {"name": "x", "data": {"image_shape": [1, 8, 8], "class_names": []}}


def harness(*flags: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"}
    line = [sys.executable, "-m", "faults", *flags]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shim.compiler() is None, reason="needs Linux and a C compiler")
def test_a_run_that_is_killed_or_damaged_goes_on_to_the_same_bits() -> None:
    """One kill at each named call but the last ones, which need a score; 300 flipped bits."""
    said = harness("--models", "vae", "--count", "25", "--flips", "300")
    assert "| all | 25 | 0 | 0 | 0 | 0 | 0 |" in said


@pytest.mark.slow
@pytest.mark.skipif(shim.compiler() is None, reason="needs Linux and a C compiler")
def test_signals_power_cuts_disks_and_numbers() -> None:
    harness("--models", "mlp-gan", "--signals", "--cuts", "--others")


def save(run: Path, seen: int) -> Path:
    import torch

    return store.save(run, seen, TREE, {"model": {"w": torch.ones(3)}, "state": {"m": torch.ones(3)}}, {"seen": seen})


def test_a_damaged_newer_checkpoint_costs_no_good_one(tmp_path: Path) -> None:
    """At 1 good, at 5 and 6 damaged: what is trained on from 1 is kept, and found."""
    save(tmp_path, 1)
    for damaged in (save(tmp_path, 5), save(tmp_path, 6)):
        (damaged / "model.safetensors").write_bytes(b"")
    good = save(tmp_path, 2)
    assert store.newest(tmp_path)[0] == good
    good = save(tmp_path, 3)
    assert store.newest(tmp_path)[0] == good
    assert [int(path.name) for path in store.checkpoints(tmp_path)] == [2, 3, 5, 6]


def test_an_exchange_that_was_cut_off_is_undone(tmp_path: Path) -> None:
    """The best waits aside while the better one gets its name; a kill in between loses neither."""
    import torch

    best = store.save_best(tmp_path, 1, TREE, {"w": torch.ones(3)}, {"value": 7.0})
    os.replace(best, tmp_path / ".best.before")
    (tmp_path / ".best.part").mkdir()
    store.tidy(tmp_path)
    assert store.best_score(tmp_path) == 7.0
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_numbers_that_are_not_finite_are_not_loaded(tmp_path: Path) -> None:
    import torch

    tensors = {"model": {"w": torch.tensor([1.0, float("inf")])}, "state": {}}
    path = store.save(tmp_path, 1, TREE, tensors, {})
    with pytest.raises(CheckpointError, match=r"model\.safetensors holds numbers that are not finite, in w"):
        store.read_state(path)


@pytest.mark.parametrize("number", [28, 122, 27, 30, 13, 5, 24])
def test_failures_of_the_machine_have_one_code(number: int) -> None:
    known = explained(OSError(number, "as the system says", "some/file"))
    assert isinstance(known, ResourceError)
    assert "some/file" in str(known)


def test_other_failures_are_not_explained_away() -> None:
    assert explained(FileNotFoundError(2, "No such file")) is None
    assert explained(RuntimeError("shapes differ")) is None
    assert isinstance(explained(RuntimeError("CUDA out of memory. Tried to allocate")), ResourceError)
    assert isinstance(explained(MemoryError()), ResourceError)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_not_training_is_given_up_at_the_first_signal(number: signal.Signals) -> None:
    done: list[str] = []

    def work() -> None:
        with listening() as wish:
            with wish.dispensable():
                os.kill(os.getpid(), number)
                time.sleep(60)
                done.append("a grid")
            done.append("a checkpoint")
            os.kill(os.getpid(), number)
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt) as second:
        work()
    assert done == ["a checkpoint"]
    assert second.value.args == (number,)
