"""Levels for a few steps: fitted, written, used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.cli import main
from triptych.diffusion.multistep import ipndm
from triptych.diffusion.samplers import ddim, heun
from triptych.diffusion.schedules import fitted, karras

Make = Callable[..., Any]
TABLE = torch.tensor([0.01, 40.0], dtype=torch.float64)


def bumps(y: Tensor, s: Tensor) -> Tensor:
    """The denoiser of the mixture of N(-1, 0.01) and N(1, 0.01)."""
    variance = 0.01 + s.view(-1, 1, 1, 1) ** 2
    share = torch.sigmoid(2 * y / variance)
    return share * (1 + 0.01 / variance * (y - 1)) + (1 - share) * (-1 + 0.01 / variance * (y + 1))


def noise(first: int) -> Tensor:
    return 40 * Draw(range(first, first + 200)).normal(1, 2, 2).double()


@pytest.mark.parametrize("sampler", [ddim, ipndm])
@pytest.mark.parametrize("steps", [4, 6, 8])
def test_fitted_levels_beat_the_plain_ones_on_other_noise(sampler: Any, steps: int) -> None:
    plain, y = karras(TABLE, steps), noise(0)

    def goal(y: Tensor) -> Tensor:
        return heun(bumps, y, karras(TABLE, 200), Draw(()))

    found, error = fitted(lambda levels: sampler(bumps, y, levels, Draw(())), plain, goal(y), 0.01)
    assert (found.diff() < 0).all()
    assert found[0] == plain[0]
    assert found[-1] == 0
    assert found[-2] >= 0.0099

    def off(levels: Tensor, y: Tensor) -> float:
        return float((sampler(bumps, y, levels, Draw(())) - goal(y)).square().mean().sqrt())

    assert error == pytest.approx(off(found, y))
    assert off(found, noise(5000)) < 0.8 * off(plain, noise(5000))


@pytest.mark.slow
def test_from_the_command_to_a_sample(train_tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, levels = train_tiny("flow", 30).run, tmp_path / "four.txt"
    line = ["schedule", run, "--sampler", "unipc", "--steps", "4", "--images", "16", "-o", str(levels)]
    assert main(line) == 0
    assert "--sampler unipc --schedule" in capsys.readouterr().err
    written = [float(word) for word in levels.read_text().split()]
    assert len(written) == 5
    assert written == sorted(written, reverse=True)
    assert main([*line, "--quiet"]) == 0
    assert [float(word) for word in levels.read_text().split()] == written  # the same seeds, the same levels
    grid = str(tmp_path / "g.png")
    assert main(["sample", run, "-n", "4", "--sampler", "unipc", "--schedule", str(levels), "-o", grid]) == 0
    said = capsys.readouterr().err
    assert "steps 4" in said
    assert "four.txt" in said
    assert (
        main(["evaluate", run, "-n", "50", "--schedule", str(levels), "-o", str(tmp_path / "e.html"), "--quiet"]) == 0
    )


def test_levels_that_make_no_walk(train_tiny: Make, tmp_path: Path) -> None:
    run, file = train_tiny("flow", 30).run, tmp_path / "x.txt"
    out = str(tmp_path / "g.png")
    for text in ("", "3\n2\n1", "1000\n2\n3\n0", "no", "1000\n-1"):
        file.write_text(text)
        assert main(["sample", run, "-n", "2", "--schedule", str(file), "-o", out, "--quiet"]) == 2
    assert main(["sample", run, "-n", "2", "--schedule", str(tmp_path / "none.txt"), "-o", out, "--quiet"]) == 2
    assert main(["schedule", run, "--sampler", "ancestral", "-o", str(file)]) == 2


def test_a_model_without_levels(train_tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schedule", train_tiny("dcgan", 1).run, "-o", str(tmp_path / "x.txt")]) == 2
    assert "no noise levels" in capsys.readouterr().err
