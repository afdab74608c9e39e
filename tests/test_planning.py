"""What a training will take: against arithmetic, and against a training."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import triptych
from tiny import TINY
from triptych import devices
from triptych.cli import main
from triptych.commands.plan import plan
from triptych.commands.train import train
from triptych.planning import Memory, _course, _halves, _too_large
from triptych.run import Wishes, build, tree_of
from triptych.screen import Screen

CPU = torch.device("cpu")
QUIET = Screen(quiet=True)
SMALL = [*TINY["dcgan"], "batch=16"]


def test_the_sums_agree_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = plan("dcgan", "digits", images=20_000, set=SMALL, screen=QUIET)
    assert found.images == 20_000
    assert found.seconds == pytest.approx(found.images / found.images_per_second)
    assert found.pack == 1797 * 8 * 8
    assert found.fits
    assert 50e6 < found.memory < (found.memory_free or 0)
    assert not list(tmp_path.iterdir())


def test_a_span_of_time_reaches_what_the_rate_says() -> None:
    found = plan("dcgan", "digits", for_="100s", set=SMALL, screen=QUIET)
    assert found.seconds == pytest.approx(100, rel=0.01)
    assert found.images == pytest.approx(100 * found.images_per_second, rel=0.01)


def test_checkpoints_are_as_large_as_planned(train_tiny: Any) -> None:
    """Three of them, and the weights of one more: the tensors of the files, whose heads are small."""
    found = plan("mlp-gan", "digits", set=["batch=16", "model.latent=256"], screen=QUIET)
    run = train_tiny("mlp-gan", 2, changes=("model.latent=256",))
    files = {name: (Path(run.checkpoint) / f"{name}.safetensors").stat().st_size for name in ("model", "state")}
    assert found.checkpoints == pytest.approx(3 * sum(files.values()) + files["model"], rel=0.05)


def test_planning_moves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run whose first lines are its plan has the weights of one without."""
    for name, screen in (("told", Screen()), ("quiet", QUIET)):
        train("dcgan", "digits", out=str(tmp_path / name), images=64, set=SMALL, scores=0, screen=screen)
    assert "images/s" in capsys.readouterr().err
    told, quiet = (triptych.load(str(tmp_path / name)).state_dict() for name in ("told", "quiet"))
    assert all(torch.equal(told[key], quiet[key]) for key in quiet)


def test_each_stage_that_begins_in_time_is_probed(tmp_path: Path) -> None:
    changes = [
        *(change for change in TINY["latent-flow"] if "switch" not in change),
        "objective.switch=480",
        "batch=16",
    ]
    tree, splits = tree_of(Wishes("latent-flow", "digits", 0, tuple(changes)), QUIET)
    run = build(tmp_path, tree, splits, CPU, QUIET)
    for images, starts in ((1000, (0, 480)), (400, (0,))):
        course = _course(run, images, 0.1)
        assert course.starts == starts
        assert all(0 < each < 1 for each in course.each)


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--set={change}" for change in SMALL]
    assert main(["plan", "dcgan", "digits", "--images", "1k", *words, "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 1000
    assert found["batch"] == 16


def test_a_batch_that_fits_is_the_cure() -> None:
    memory = Memory(size=16, bytes=1_000_000_000, each=10_000_000.0, free=1_500_000_000)
    assert memory.of(128) == 1_000_000_000 + 112 * 10_000_000
    assert [size for size in _halves(128) if memory.fits(size)][:1] == [64]
    assert _too_large(memory, 64, 64) == []
    (sentence,) = _too_large(memory, 128, 64)
    assert "2.12 GB" in sentence
    assert "--set batch=64" in sentence
    (sentence,) = _too_large(memory._replace(free=5), 128, 2)
    assert "smaller model" in sentence


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak cannot be reset here")
def test_the_peak_begins_anew() -> None:
    torch.zeros(50_000_000)  # 200 MB, dropped at once
    high, _ = devices.peak_memory(CPU)
    devices.forget_peak(CPU)
    low, _ = devices.peak_memory(CPU)
    held = torch.ones(50_000_000)
    again, _ = devices.peak_memory(CPU)
    assert low <= high
    assert again - low == pytest.approx(held.nbytes, rel=0.1)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
def test_a_cpu_keeps_what_is_freed() -> None:
    """Blocks of 40 MB, forty times: without it, each comes from the system page by page."""
    code = (
        "import resource, torch\nfrom triptych import devices\n{}\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "torch.ones(10**7)\nbefore = faults()\nfor _ in range(40): torch.ones(10**7)\nprint(faults() - before)"
    )
    lines = [sys.executable, "-c", code.format("devices.pick('cpu')")], [sys.executable, "-c", code.format("")]
    kept, asked = (int(subprocess.run(line, capture_output=True, text=True, check=True).stdout) for line in lines)
    assert 4 * kept < asked


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dcgan", "vae", "ddpm"])
def test_time_is_planned_within_a_fifth(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one thread and by the processor's clock, which other work on the machine does not move."""
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    found = plan(name, "digits", for_="8s", screen=QUIET)
    run = train(name, "digits", out=str(tmp_path), images=found.images, scores=0, show_every="1h", screen=QUIET)
    assert found.seconds == pytest.approx(run.seconds, rel=0.2)
