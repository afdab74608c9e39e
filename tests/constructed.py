"""A comparison made up for tests: three models, three training seeds, ten classes."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import torch

from triptych.metrics.estimate import Estimate, Score
from triptych.report import ClassRow, Copies, Entry, Heading, Point, Speed, Trial

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BIAS = "At these N a perfect model would score about 0.31."
LABELS = (
    ("frechet", "FD-bundled", "lower", 1.0),
    ("kid", "KD-bundled", "lower", 0.0011),
    ("inception-score", "IS-bundled", "higher", 0.35),
    ("precision", "precision", "higher", 0.032),
    ("recall", "recall", "higher", 0.027),
    ("density", "density", "higher", 0.034),
    ("coverage", "coverage", "higher", 0.029),
)


def estimate(value: float, room: float = 0.03) -> Estimate:
    """A value with an interval of so much to either side, as a share of it."""
    return Estimate(value, value - abs(value) * room, value + abs(value) * room)


def frechet(value: float, room: float = 0.03) -> Score:
    return Score("frechet", "FD-bundled", "lower", estimate(value, room), BIAS)


def scores(distance: float) -> list[Score]:
    """All scores of a set of images with that Fréchet distance; further off, all the rest are worse too."""
    found = []
    for key, label, better, factor in LABELS:
        value = factor * distance if better == "lower" else factor * 30 / (1 + 0.03 * distance)
        note = BIAS if key == "frechet" else ""
        found.append(Score(key, label, better, estimate(value), note))
    return found


def trials(values: list[float], seconds: float = 45, start: float = 320) -> list[Trial]:
    """Seeds that fall from one Fréchet distance to another, each at moments of its own."""
    found = []
    for seed, value in enumerate(values):
        times = [seconds * (k + 0.1 * seed) / 12 for k in range(1, 12)] + [seconds]
        left = [math.exp(-7 * t / seconds) * (1 + 0.1 * math.sin(9 * t + seed)) for t in times]
        curve = [Point(t, int(900 * t), value + (start - value) * part) for t, part in zip(times, left, strict=True)]
        found.append(Trial(seed, curve, scores(value)))
    return found


def class_rows(shares: list[float]) -> list[ClassRow]:
    total = sum(shares)
    rows = zip(DIGITS, shares, strict=True)
    return [ClassRow(name, share / total, 0.1, min(0.97, 8.6 * share / total)) for name, share in rows]


def images(count: int, channels: int = 1, side: int = 8, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=draw)


def log(lines: int = 60, start: float = 2.0) -> list[dict[str, float]]:
    return [
        {
            "seen": 640.0 * i,
            "seconds": 0.7 * i,
            "images_per_second": 900.0,
            "first/loss": start / math.sqrt(i) + 0.05 * math.sin(i),
            "first/held_out": start / math.sqrt(i) + 0.1,
            "second/loss": 1 + 0.2 * math.sin(i / 7),
        }
        for i in range(1, lines + 1)
    ]


def entries(names: tuple[str, str, str] = ("rapid", "encoding", "patient")) -> list[Entry]:
    """One fast, one that encodes, one slow and good."""
    rapid, encoding, patient = names
    first = Entry(
        rapid, "family a", "Author et al. 2015", images(64), log(), 3_576_704, 192_000, 45.2, 4250.0, 412_300_000,
        milliseconds=0.081, training_flops=2.1e8, sampling_flops=1.9e7, trials=trials([33.1, 41.8, 36.2]),
        classes=class_rows([14, 13, 9, 8, 11, 0.4, 10, 12, 9, 13.6]), copies=Copies(31, 5000, 42.0, 88.0, 62.0),
    )  # fmt: skip
    first = first._replace(trials=[*first.trials[:2], first.trials[2]._replace(alarms=["the turns are far apart"])])
    second = Entry(
        encoding, "family b", "Another 2014", images(64, seed=1), log(start=9), 1_204_224, 640_000, 45.0, 14200.0,
        380_000_000, milliseconds=0.052, training_flops=2.4e7, sampling_flops=6.1e6,
        trials=trials([58.3, 59.9, 57.2]), classes=class_rows([10, 12, 9, 9.5, 10.5, 8, 10, 11, 9, 11]),
        copies=Copies(12, 5000, 12.0, 42.0, 24.0), psnr=estimate(21.4), ssim=estimate(0.861, 0.01),
        probe=estimate(0.934, 0.01), bits=estimate(2.83, 0.004), bits_are="bound",
    )  # fmt: skip
    speeds = [(1, 0.9, 71.0), (2, 1.7, 44.0), (5, 3.4, 22.1), (10, 6.6, 17.4), (25, 16.1, 15.9), (50, 31.9, 15.6)]
    third = Entry(
        patient, "family c", "Three Authors 2020", images(64, seed=2), log(start=1), 2_911_105, 96_000, 45.4, 2110.0,
        501_000_000, milliseconds=31.9, sampler="sampler ddim, steps 50", training_flops=9.2e8, sampling_flops=1.5e10,
        trials=trials([15.1, 16.4, 15.3], start=400), classes=class_rows([10, 11, 10, 9, 10, 9, 10, 10.5, 10, 10.5]),
        speeds=[Speed(f"steps {steps}", ms, frechet(value)) for steps, ms, value in speeds],
        copies=Copies(20, 5000, 25.0, 61.0, 40.0), bits=estimate(2.61, 0.004), bits_are="bound",
    )  # fmt: skip
    return [first, second, third]


def heading(**changes: Any) -> Heading:
    plain = Heading(
        "digits", "1,497 training images of 8 × 8 pixels, grey, 10 classes", images(32, seed=3), "45 s of training",
        "2 cores of a processor, 8 GB, PyTorch 2.13", datetime(2026, 3, 12, 14, 5, tzinfo=UTC), range(64),
        scored="Scores compare 5,000 generated images with 1,497 real ones (training side, resize bicubic, reference "
        "3f2a91c0) by the features of the bundled network: they compare these models with each other, not with papers.",
        probe_of_pixels=estimate(0.951, 0.01), real_scores=scores(2.4), caption="3 training seeds each",
    )  # fmt: skip
    return plain._replace(**changes)
