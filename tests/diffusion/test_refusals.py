"""What users get wrong: one sentence that says what, where and the cure, an exit code, and nothing written."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny import BATCH, TINY
from triptych.cli import main

LEVELS = {"rising": "1 2 0", "flat": "80 80 0", "low": "3 1 0", "one": "80", "empty": "", "below": "80 1 -1",
          "odd": "80 nan 0", "words": "a b"}  # fmt: skip
FALL, NUMBERS = "fall from 80 to 0", "a file of numbers"
PAIR = "two numbers"
REFUSED = {  # command line -> (exit code, part of the sentence); RUN is an edm without classes
    "sample RUN --guidance 2": (2, "neither classes nor texts"),
    "sample RUN --guidance 101": (2, "from 0 to 100"),
    "sample RUN --interval 1,2": (2, "nothing is guided"),
    "sample TOLD --guidance 2 --interval 5": (2, PAIR),
    "sample TOLD --guidance 2 --interval 5,1": (2, PAIR),
    "sample TOLD --guidance 2 --interval a,b": (2, PAIR),
    "sample TOLD --guidance 2 --interval nan,1": (2, PAIR),
    "sample TOLD --guidance 2 --interval 1,2,3": (2, PAIR),
    "sample RUN --steps 0": (2, "--steps"),
    "sample RUN --steps 2.5": (2, "--steps"),
    "sample RUN --steps 1001 --schedule uniform": (2, "1 to 1000"),
    "sample RUN --steps 2000000": (2, "--steps"),
    "sample RUN --sampler rk45 --steps 1": (2, "give 2 or more"),
    "sample RUN --sampler hen": (2, "'heun'"),
    "sample RUN --schedule karas": (2, "'karras'"),
    **{f"sample RUN --schedule {name}.txt": (2, FALL) for name in ("rising", "flat", "low", "one")},
    **{f"sample RUN --schedule {name}.txt": (2, NUMBERS) for name in ("empty", "below", "odd", "words")},
    "sample RUN --schedule none.txt": (2, "none.txt"),
    "sample RUN --text heart": (2, "takes no text"),
    "sample RUN --labels 3": (2, "takes no labels"),
    "sample RUN --autoguidance 2": (2, "weaker model"),
    "sample RUN --weaker OTHER": (2, "weaker model"),
    "sample RUN --weaker RUN --autoguidance x": (2, "--autoguidance"),
    "sample RUN --weaker nowhere": (4, "nowhere"),
    "schedule RUN --sampler ancestral": (2, "cannot be fitted"),
    "schedule RUN --sampler rk45": (2, "cannot be fitted"),
    "schedule RUN --steps 0": (2, "--steps"),
    "edit RUN grey.png --strength 1.5": (2, "--strength"),
    "edit RUN grey.png --strength nan": (2, "--strength"),
    "edit RUN grey.png --sampler rk45 --steps 1 --strength 0.9": (2, "give 2 or more"),
    "edit RUN cut.png": (3, "cut.png"),
    "inpaint RUN grey.png --mask wide.png": (3, "5x9"),
    "inpaint RUN grey.png --mask none.png": (3, "none.png"),
    "inpaint RUN grey.png --mask grey.png --jumps 0": (2, "--jumps"),
    "inpaint RUN cut.png --mask grey.png": (3, "cut.png"),
    "diffuse cut.png": (3, "cut.png"),
    "diffuse words.txt": (3, "words.txt"),
    "diffuse grey.png --path liner": (2, "'linear'"),
    "diffuse grey.png --steps 0": (2, "--steps"),
    "upscale RUN grey.png": (2, "upscale"),
    "colorize RUN colours.png": (2, "colorize"),
}


def trained(where: Path, name: str, *more: str) -> None:
    sets = [word for change in (*TINY["edm"], f"batch={BATCH}") for word in ("--set", change)]
    line = ["train", name, "digits", "--images", "16", "--scores", "0", "--quiet", "-o", str(where), *sets, *more]
    assert main(line) == 0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs and some files, most of them of no use."""
    folder = tmp_path_factory.mktemp("home")
    trained(folder / "RUN", "edm", "--set", "model.conditional=false")
    trained(folder / "OTHER", "edm", "--size", "12", "--set", "model.conditional=false")
    trained(folder / "TOLD", "edm", "--set", "model.conditional=true")
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "colours.png")
    Image.fromarray(noise[..., 0]).save(folder / "grey.png")
    Image.fromarray(np.eye(5, 9, dtype=np.uint8) * 255).save(folder / "wide.png")
    whole = (folder / "colours.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    for name, levels in LEVELS.items():
        (folder / f"{name}.txt").write_text(levels.replace(" ", "\n"))
    return folder


@pytest.mark.parametrize("line", REFUSED)
def test_one_sentence_and_an_exit_code(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    code, says = REFUSED[line]
    monkeypatch.chdir(home)
    out = tmp_path / ("x.txt" if line.startswith("schedule") else "x.png")
    count = ["-n", "2"] if line.startswith("sample") else []
    assert main([*shlex.split(line), *count, "-o", str(out), "--quiet"]) == code
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "\n" not in said
    assert says in said
    assert not out.exists()


def test_captions_that_there_are_not_are_missed_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for change in (*TINY["flow-text"], f"batch={BATCH}") for word in ("--set", change)]
    line = ["train", "flow-text", "digits", "--scores", "0", "-o", str(tmp_path / "run"), *sets]
    assert main([*line, "--images", "16"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.index("images have no texts, and so flow-text learns none") < said.index("Wrote")
    assert main([*line, "--images", "32"]) == 0
    assert "have no texts" not in capsys.readouterr().err  # once is enough


def test_a_sampler_of_one_step_takes_one(home: Path, tmp_path: Path) -> None:
    for sampler in ("ddim", "heun", "unipc", "ipndm", "dpm++2m", "ancestral"):
        line = ["sample", str(home / "RUN"), "-n", "2", "--steps", "1", "--sampler", sampler, "--quiet"]
        assert main([*line, "-o", str(tmp_path / f"{sampler}.png")]) == 0
