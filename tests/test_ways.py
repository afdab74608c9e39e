"""How a run computes: chosen once, kept by the run, and the same numbers as without."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import triptych
from tiny import BATCH, TINY
from triptych import devices, recipe, settling
from triptych.errors import UsageError
from triptych.run import Budget, Wishes, tree_of
from triptych.sampling import generate
from triptych.screen import Screen
from triptych.settling import Pace, Trial, remembered, settled
from triptych.training.optimisers import adam, adamw
from triptych.ways import changes, usual

CPU = torch.device("cpu")
QUIET = Screen(quiet=True)
PLACES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]


@pytest.fixture
def tree() -> tuple[dict[str, Any], Any]:
    return tree_of(Wishes("dcgan", "digits", 0, tuple(TINY["dcgan"])), QUIET)


def paced(monkeypatch: pytest.MonkeyPatch, paces: dict[tuple[str, bool], Pace | None]) -> list[tuple[str, bool]]:
    """Let a trial find these paces; the ways that are asked for, in order."""
    asked: list[tuple[str, bool]] = []

    def pace(self: Trial, tree: dict[str, Any]) -> Pace | None:
        asked.append((tree["precision"], tree["compile"]))
        return paces[asked[-1]]

    monkeypatch.setattr(Trial, "pace", pace)
    monkeypatch.setattr(devices, "can_half", lambda device: True)
    return asked


@pytest.mark.parametrize(
    ("half", "compiled", "images", "found"),
    [
        (Pace(0, 0.005), None, 10_000, ("float32", False)),  # too few to look
        (Pace(0, 0.005), Pace(60, 0.003), 100_000, ("bfloat16", False)),  # 1000 s: half an hour is not reached
        (Pace(0, 0.0095), Pace(60, 0.0099), 1_000_000, ("float32", False)),  # neither by a tenth
        (Pace(0, 0.005), Pace(60, 0.003), 1_000_000, ("bfloat16", True)),  # 5000 s against 3060 s
        (Pace(0, 0.005), Pace(3000, 0.003), 1_000_000, ("bfloat16", False)),  # the compiler takes too long
        (Pace(0, 0.02), None, 1_000_000, ("float32", False)),  # and fails
    ],
)
def test_the_sooner_end_wins(
    tree: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    half: Pace,
    compiled: Pace | None,
    images: int,
    found: Any,
) -> None:
    """By arithmetic: 0.01 s an image in float32."""
    paced(monkeypatch, {("float32", False): Pace(0, 0.01), ("bfloat16", False): half,
                        ("float32", True): compiled, ("bfloat16", True): compiled})  # fmt: skip
    chosen = settled(Budget(images, None), QUIET)(*tree, CPU, tmp_path)
    assert (chosen["precision"], chosen["compile"]) == found


def test_what_is_asked_for_is_not_measured(tree: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = paced(monkeypatch, {("float32", False): Pace(0, 1.0)})
    said, splits = tree
    said = {**said, "precision": "float32", "compile": False}
    assert settled(Budget(10**9, None), QUIET)(said, splits, CPU, tmp_path) == said
    assert set(asked) <= {("float32", False)}


def test_a_run_keeps_what_it_began_with(tree: Any, tmp_path: Path) -> None:
    said, splits = tree
    begun = {**said, "precision": "bfloat16", "compile": False}
    (tmp_path / "recipe.yaml").write_text(recipe.write(begun))
    assert settled(Budget(10**9, None), QUIET)(said, splits, CPU, tmp_path) == begun
    old = {key: value for key, value in said.items() if key not in ("precision", "compile")}
    (tmp_path / "recipe.yaml").write_text(recipe.write(old))
    assert settled(Budget(10**9, None), QUIET)(said, splits, CPU, tmp_path) == usual(said, CPU)


def test_a_pace_is_measured_once(tree: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settling, "data_folder", lambda: tmp_path)
    monkeypatch.setattr(settling, "SPAN", 0.01)
    said, splits = tree
    trial = Trial(splits, CPU, tmp_path / "run", QUIET)
    found = trial.pace(usual(said, CPU))
    assert found is not None
    assert 0 < found.each < found.first
    assert list(remembered(tmp_path / "paces.json").values()) == [list(found)]
    monkeypatch.setattr(Trial, "_measured", lambda *_: pytest.fail("measured again"))
    assert trial.pace(usual(said, CPU)) == found


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 3}', '{"a": [1]}', '{"a": [1, "x"]}'])
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "paces.json").write_text(text)
    assert remembered(tmp_path / "paces.json") == {}


def test_words_that_there_are_not() -> None:
    assert changes(precision="bfloat16", compile="on") == ("precision=bfloat16", "compile=true")
    assert changes(precision=None, compile="auto") == ("compile=auto",)
    with pytest.raises(UsageError, match="--precision float16"):
        changes(precision="float16")


def test_bfloat16_is_what_is_computed(train_tiny: Callable[..., Any]) -> None:
    """Weights stay float32, differ from those in float32, and not by more than a few digits."""
    half, full = (train_tiny("ddpm", 3, name, precision=name) for name in ("bfloat16", "float32"))
    one, other = (load_file(Path(run.checkpoint) / "model.safetensors") for run in (half, full))
    assert all(tensor.dtype == torch.float32 for tensor in one.values() if tensor.is_floating_point())
    assert any(not torch.equal(one[key], other[key]) for key in one)
    for key, tensor in one.items():
        torch.testing.assert_close(tensor, other[key], rtol=0, atol=0.06)  # 3 steps of Adam at 0.01, both ways
    assert "precision: bfloat16" in (Path(half.run) / "recipe.yaml").read_text()
    with pytest.raises(UsageError, match="precision: bfloat16 there, float32 here"):
        train_tiny("ddpm", 4, "bfloat16", precision="float32")


@pytest.mark.parametrize("place", PLACES)
def test_a_step_that_is_skipped_moves_nothing(place: str) -> None:
    weight = nn.Parameter(torch.ones(3, device=place))
    optimiser = adamw(0.1, clip=1.0, skip=1.0)([weight])
    for slope, moves in ((0.1, True), (5.0, False), (0.1, True)):
        before = weight.detach().clone()
        moments = {key: value.clone() for key, value in optimiser.torch.state[weight].items()}
        weight.grad = torch.full_like(weight, slope)
        norm = optimiser.step(0)
        assert bool(optimiser.skips(norm)) is not moves
        assert torch.equal(before, weight) is not moves
        if not moves:
            assert all(torch.equal(value, optimiser.torch.state[weight][key]) for key, value in moments.items())


@pytest.mark.parametrize("skip", [None, 100.0])
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_step_on_a_gpu_waits_for_nothing(skip: float | None) -> None:
    weight = nn.Parameter(torch.ones(3, device="cuda"))
    optimiser = adam(0.1, clip=1.0, skip=skip)([weight])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(2):
            weight.grad = torch.full_like(weight, 0.5)
            optimiser.step(0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (weight < 1).all()  # it moved, and nothing that waits was called, which would have raised


@pytest.mark.parametrize("name", ["dcgan", "vae", "ddpm"])
def test_filled_batches_depend_on_the_seed_alone(train_tiny: Callable[..., Any], name: str) -> None:
    """Any number of images, at any place: the bytes are those of whole batches."""
    model = triptych.load(train_tiny(name, 1).run)
    how = {"steps": 2} if name == "ddpm" else {}

    def made(seeds: range) -> torch.Tensor:
        return torch.cat([batch.images for batch in generate(model, seeds, batch=8, filled=True, **how)])

    whole = made(range(16))
    for first, last in ((0, 1), (0, 11), (3, 8), (5, 16)):
        assert torch.equal(made(range(first, last)), whole[first:last])


COMPILER = pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")


@pytest.mark.slow
@COMPILER
@pytest.mark.filterwarnings("ignore")  # of the compiler's own parts
@pytest.mark.parametrize("name", ["dcgan", "wgan-gp", "vae", "ddpm", "dit"])
def test_compiled_runs_learn_the_same_and_resume(train_tiny: Callable[..., Any], name: str) -> None:
    """Losses agree to 1e-4 over some steps, and a compiled run equals itself where it was stopped."""
    plain, whole = train_tiny(name, 5, "plain", compile="off"), train_tiny(name, 5, "whole", compile="on")
    train_tiny(name, 2, "parts", compile="on")
    parts = train_tiny(name, 5, "parts", compile="on")
    assert "compile: true" in (Path(whole.run) / "recipe.yaml").read_text()
    sums = [json.loads((Path(run.checkpoint) / "state.json").read_text())["sums"] for run in (plain, whole)]
    for key, value in sums[0].items():
        if key.endswith("/loss"):
            assert sums[1][key] == pytest.approx(value, rel=1e-4, abs=1e-4), key
    for file in ("model.safetensors", "state.safetensors"):
        one, other = (load_file(Path(run.checkpoint) / file) for run in (whole, parts))
        assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


@pytest.mark.slow
def test_without_a_compiler_it_trains_as_it_is(tmp_path: Path) -> None:
    words = [f"--set={change}" for change in [*TINY["dcgan"], f"batch={BATCH}"]]
    line = ["-m", "triptych", "train", "dcgan", "digits", "--images", "32", "--compile", "on", "--scores", "0", "--out"]
    nowhere = {"PATH": str(tmp_path), "CXX": "no-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, *line, str(tmp_path / "run"), *words],
        env={**os.environ, **nowhere, "TRIPTYCH_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Nothing is compiled" in done.stderr
    assert "compile: false" in (tmp_path / "run" / "recipe.yaml").read_text()
