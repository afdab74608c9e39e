"""Compare: one budget for all, failures kept apart, a stop that loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from triptych import catalog, store
from triptych.child import call
from triptych.commands.compare import compare
from triptych.comparison.sampling_speed import sampled
from triptych.data import open_data
from triptych.errors import DataError, TriptychError, UsageError
from triptych.gallery import write_npz
from triptych.pixels import grid
from triptych.sampling import generate
from triptych.screen import Screen

QUIET = Screen(quiet=True)
PAIR = catalog.ONE_OF_EACH[:2]


@pytest.fixture(autouse=True)
def _one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.slow
def test_two_models_under_one_budget(tmp_path: Path) -> None:
    out = tmp_path / "report"
    first = compare("digits", models=PAIR, images=256, samples=8, scored=300, seeds=2, out=str(out), screen=QUIET)
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["models"] == first.models
    assert [model["name"] for model in first.models] == list(PAIR)
    for model in first.models:
        assert 256 <= model["seen"] < 512
        assert not model["failure"]
        assert model["parameters"] > 0
        assert model["milliseconds"] > 0
        assert model["peak_memory"] > 10**8
        trained = store.load(out / "runs" / f"{model['name']}-0")
        (batch,) = generate(trained, range(8))
        made, _ = sampled(trained, 8)
        assert torch.equal(made, batch.images)  # what is shown is what `sample` makes
        assert (out / model["picture"]).stat().st_size > 0
        assert grid(made).shape[0] == 1
        assert [trial["seed"] for trial in model["trials"]] == [0, 1]
        assert all(score["estimate"] for score in model["trials"][1]["scores"] if score["key"] == "frechet")
        assert model["training_flops"] > model["sampling_flops"] > 0
        assert model["copies"]["of"] == 300
        assert sum(row["share"] for row in model["classes"]) == pytest.approx(1)
    vae = first.models[1]
    assert vae["psnr"]["value"] > 5
    assert vae["bits_are"] == "bound"
    assert first.models[0]["psnr"] is None
    assert len(first.verdict) == 3
    again = compare(
        "digits", models=PAIR[0], images=256, samples=8, scored=300, out=str(out), extractor="pixels", screen=QUIET
    )
    assert again.models[0]["seen"] == first.models[0]["seen"]


@pytest.mark.slow
def test_one_failure_does_not_stop_the_others(tmp_path: Path) -> None:
    broken, whole = PAIR
    stranger = tmp_path / "runs" / f"{broken}-0" / "letter.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    result = compare(
        "digits", models=PAIR, images=64, samples=4, scored=64, out=str(tmp_path), extractor="pixels", screen=QUIET
    )
    failures = {model["name"]: model["failure"] for model in result.models}
    assert "is not empty" in failures[broken]
    assert failures[whole] == ""
    assert stranger.read_text() == "mine"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "is not empty" in page
    with pytest.raises(TriptychError, match="is not empty") as caught:
        compare("digits", models=broken, images=64, out=str(tmp_path), screen=QUIET)
    assert caught.value.code == 2


@pytest.mark.slow
def test_images_from_elsewhere_take_part(tmp_path: Path) -> None:
    """Real images as somebody's samples score as real ones; a generator from Python is asked for its images."""
    real = open_data("digits").train.read(range(400)).images
    write_npz(tmp_path / "theirs.npz", {"images": real.permute(0, 2, 3, 1).numpy()})
    noise = torch.randint(0, 256, (500, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = compare(
        "digits", models=PAIR[0], images=64, samples=4, scored=300, out=str(tmp_path / "report"), screen=QUIET,
        folder=[f"theirs={tmp_path / 'theirs.npz'}"], outside={"noise": lambda number: noise[:number]},
        extractor="pixels",
    )  # fmt: skip
    distances = {
        model["name"]: next(s["estimate"]["value"] for s in model["trials"][0]["scores"] if s["key"] == "kid")
        for model in found.models
    }
    assert distances["theirs"] < distances["noise"] / 10
    copies = {model["name"]: model["copies"]["flagged"] for model in found.models}
    assert copies["theirs"] == 300
    assert copies["noise"] == 0
    assert "theirs" in found.verdict[0]


def test_images_from_elsewhere_have_the_shape_of_the_data(tmp_path: Path) -> None:
    write_npz(tmp_path / "theirs.npz", {"images": np.zeros((40, 9, 9, 3), np.uint8)})
    with pytest.raises(DataError, match="40 images are 9x9x3, but the reference is 8x8x1"):
        compare("digits", folder={"theirs": str(tmp_path / "theirs.npz")}, out=str(tmp_path / "r"), screen=QUIET)


@pytest.mark.parametrize(
    ("wishes", "sentence"),
    [
        ({"for_": "1s", "images": 64}, "one equal budget"),
        ({"models": "dcgan,vea"}, "did you mean 'vae'?"),
        ({"flops": "1e9", "images": 64}, "one equal budget"),
        ({"samples": 0}, "--samples"),
        ({"seeds": 0}, "--seeds"),
        ({"scored": "all"}, "--scored"),
        ({"extractor": "incepton"}, "did you mean 'inception'?"),
        ({"folder": ["theirs"]}, "give NAME=PATH"),
        ({"set": ["ddmp:batch=2"]}, "did you mean 'ddpm'?"),
        ({"images": "many"}, "--images"),
        ({"size": "8x8x8"}, "--size"),
    ],
)
def test_wishes_are_checked_at_the_door(tmp_path: Path, wishes: dict[str, object], sentence: str) -> None:
    out = tmp_path / "report"
    with pytest.raises(UsageError, match=sentence.replace("?", r"\?")):
        compare("digits", out=str(out), screen=QUIET, **wishes)  # type: ignore[arg-type]
    assert not out.exists()


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        compare("digits", out=str(tmp_path), screen=QUIET)
    assert (tmp_path / "report.html").read_text() == "mine"


def test_a_child_that_dies_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    code, result = call(["train", "no-such-model", "digits", "--quiet"])
    assert (code, result["code"]) == (2, 2)
    assert "no-such-model" in result["error"]
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert call(["models"]) == (1, {"error": "its process ended with exit code 1 and no result."})


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_stop_reaches_the_child_and_it_saves(tmp_path: Path, number: int) -> None:
    name = PAIR[0]
    words = ["compare", "digits", "--models", name, "--for", "60s", "-o", str(tmp_path / "report")]
    line = [sys.executable, "-m", "triptych", *words, "--set", "batch=8", "--quiet"]
    run = tmp_path / "report" / "runs" / f"{name}-0"
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, process_group=0) as parent:
        try:
            wait_for(lambda: (run / "metrics.jsonl").is_file() and (run / "metrics.jsonl").stat().st_size > 0)
            os.killpg(parent.pid, number)  # as a terminal does
            _, complaint = parent.communicate(timeout=60)
        finally:
            if parent.poll() is None:
                parent.kill()
    assert parent.returncode == 128 + number
    assert "the same line again goes on" in complaint
    assert "Traceback" not in complaint
    assert store.newest(run)[0] is not None


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
