"""The bench of restoring: its baselines on what they restore exactly, its figures on errors of a known size."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from bench import restoring as bench
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Degradation, Given, Model
from triptych.data import open_data
from triptych.pixels import to_float

OFF = 8  # grey levels by which a variant is wrong


class Nearly(Model):
    """It knows one image, and is wrong by OFF levels: too bright for even seeds, too dark for odd ones."""

    classes = 0

    def __init__(self, known: Tensor) -> None:
        super().__init__()
        self.known = to_float(known)
        self.image_shape = self.latent_shape = tuple(known.shape)  # type: ignore[assignment]
        self.unused = nn.Parameter(torch.zeros(()))

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        return self.known + z

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        signs = torch.tensor([1.0, -1.0]).repeat(len(given["image"]) // 2)
        return self.decode(signs[:, None, None, None] * OFF / 127.5, given)


def flat(level: int) -> Degradation:
    """Nothing is left of an image but a grey level."""
    return Degradation("colorize", lambda x: torch.full_like(x, level / 127.5 - 1))


def test_cubic_convolution_restores_slopes() -> None:
    """But at the edges, which are 1.5 small pixels wide."""
    slope = (6 * torch.arange(32, dtype=torch.uint8)).expand(1, 3, 32, 32)
    assert torch.equal(bench.bicubic(slope, 4)[..., 8:-8], slope[..., 8:-8])
    assert bench.bicubic(slope[:, :, :30, :29], 4).shape == (1, 3, 30, 29)


def test_errors_of_a_known_size_have_their_psnr() -> None:
    splits = open_data("digits")
    known = torch.full((1, 8, 8), 100, dtype=torch.uint8)
    real = known.expand(6, -1, -1, -1)
    made = bench.ways(Nearly(known), flat(100 - 2 * OFF), real, 2)
    rows = {row.way: row for row in bench.judged(made, real, splits)}
    assert list(rows) == ["shown", "one", "mean", "real"]
    for way, wrong in (("shown", 2 * OFF), ("one", OFF)):
        assert rows[way].psnr.value == pytest.approx(20 * math.log10(255 / wrong), abs=1e-9)
    assert rows["mean"].psnr.value == math.inf  # errors of chance average out
    assert rows["mean"].distance == rows["real"].distance


def test_an_image_without_an_error_is_one_of_all() -> None:
    real = torch.full((4, 3, 8, 8), 100, dtype=torch.uint8)
    made = real.clone()
    made[0] += OFF
    found = bench.nearness(made, real)
    assert found.value == pytest.approx(10 * math.log10(4 * 255**2 / OFF**2), abs=1e-9)
    assert found.low == pytest.approx(found.value - 10 * math.log10(3), abs=1e-9)  # three of four: the 97.5% quantile
    assert found.high == math.inf


def test_it_reads_a_run(
    train_tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [
        "bench.restoring",
        str(train_tiny("upscale", 5).run),
        "digits",
        "-n",
        "4",
        "--variants",
        "2",
        "--steps",
        "2",
    ]
    monkeypatch.setattr(sys, "argv", line)
    bench.main()
    found = capsys.readouterr().out.splitlines()
    assert [one.split()[0] for one in found] == ["way", "shown", "bicubic", "one", "mean", "real"]
