"""Same seed, same image: how many bytes differ when an image is made in batches of other sizes, at other places.

    python -m bench.seeds RUN [RUN ...] [-n 64] [--steps 10]

RUN is a run of any family. Image i is first made in a batch of 64, with seeds 0 to n - 1; then in batches of each of
SIZES, and then in batches of 64 again, filled up with other seeds, so many of them before it. `--steps` is for models
whose sampling has steps.

bytes   uint8 values that were compared
plain   of these, the share that differs where the network sees batches of other sizes, and the largest difference
fixed   the number that differ where it always sees 64 images
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

import triptych
from triptych.core import Model
from triptych.sampling import choices, generate

WHOLE = 64
SIZES = (1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 48, 63)
OTHERS = range(1_000_000, 1_000_000 + WHOLE)  # seeds of what stands before them


class Differences(NamedTuple):
    """How uint8 images differ from what they should be."""

    values: int
    differing: int
    most: int

    @classmethod
    def of(cls, pairs: Iterable[tuple[Tensor, Tensor]]) -> Differences:
        """Over pairs of images of one shape, uint8."""
        gaps = [(one.int() - other.int()).abs().flatten() for one, other in pairs]
        gap = torch.cat(gaps)
        return cls(gap.numel(), int(gap.count_nonzero()), int(gap.max()))


def made(model: Model, seeds: Sequence[int], batch: int, how: dict[str, Any]) -> Tensor:
    """Images (N, C, H, W) uint8 of the seeds, so many at once."""
    return torch.cat([part.images for part in generate(model, seeds, batch=batch, **how)])


def filled(model: Model, seeds: Sequence[int], before: int, how: dict[str, Any]) -> Tensor:
    """Images of the seeds in batches of `WHOLE` that are filled up, others before them."""
    return made(model, [*OTHERS[:before], *seeds], WHOLE, {**how, "filled": True})[before:]


def measured(model: Model, images: int, how: dict[str, Any]) -> tuple[Differences, Differences]:
    """In plain batches of every size, and in filled ones with a few of the seeds at every size and many places."""
    seeds = range(images)
    truth = made(model, seeds, WHOLE, how)
    plain = ((made(model, seeds, size, how), truth) for size in SIZES)
    fixed = (
        (filled(model, seeds[:size], 7 * k % (WHOLE - size + 1), how), truth[:size]) for k, size in enumerate(SIZES)
    )
    return Differences.of(plain), Differences.of(fixed)


def line(name: str, plain: Differences, fixed: Differences) -> str:
    share = plain.differing / plain.values
    return f"{name:20}{plain.values:12,}{share:12.5%}{plain.most:6}{fixed.values:12,}{fixed.differing:8,}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.seeds", description="Bytes that depend on the batch.")
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("-n", type=int, default=WHOLE, help="images of each model")
    parser.add_argument("--steps", type=int, default=10, help="of sampling, where there are any")
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'model':20}{'bytes':>12}{'plain':>12}{'most':>6}{'bytes':>12}{'fixed':>8}")
    rows = []
    for run in asked.runs:
        model = triptych.load(run)
        how = {"steps": asked.steps} if "steps" in choices(model) else {}
        plain, fixed = measured(model, asked.n, how)
        rows.append({"run": run.name, "plain": plain._asdict(), "fixed": fixed._asdict()})
        print(line(run.name, plain, fixed), flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
