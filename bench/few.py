"""A hundred images: what augmentation does for a critic that could learn them by heart.

    python -m bench.few CLASSES -o FOLDER [--class horse] [--images 100] [--for 5min] [--model r3gan] [--set KEY=VALUE]

CLASSES holds train/CLASS/ and test/CLASS/ (CIFAR-10 as class folders of images). The first images of one class are
all that is trained on, without augmentation and with each kind of it, for equal times.

overfit   (D(train) - D(held out)) / (D(train) - D(generated)), means of the critic's logits without augmentation:
          0 where images that it never saw look as real to it, 1 where they look generated (Karras et al. 2020,
          arXiv:2006.06676, equation 1)
copies    share of 1,000 generated images that repeat a training image, with its 95% interval
FD        FD-bundled of as many, against the images of the class that were not trained on
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import triptych
from triptych import store
from triptych.core import Model, Objective
from triptych.data import open_data
from triptych.pixels import to_float
from triptych.screen import Screen

KINDS = ("none", "diffaugment", "ada")
SAMPLES, JUDGED = 1_000, 500


def slice_of(classes: Path, name: str, images: int, out: Path) -> tuple[Path, Path]:
    """Folders of the first images of a class (train/) beside its test images (test/), and of all its other images."""
    files = sorted((classes / "train" / name).iterdir())
    few, others = out / "few", out / "others"
    for folder, chosen in (
        (few / "train" / name, files[:images]),
        (few / "test" / name, sorted((classes / "test" / name).iterdir())),
        (others, files[images:]),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        for path in chosen:
            shutil.copyfile(path, folder / path.name)
    return few, others


def overfit(train: Tensor, held_out: Tensor, made: Tensor) -> float:
    """r_v of logits of training, held-out and generated images."""
    return float((train.mean() - held_out.mean()) / (train.mean() - made.mean()))


@torch.no_grad()
def standing(model: Model, objective: Objective, few: Path) -> float:
    """How far the critic of a run has learnt its training images by heart."""
    splits = open_data(str(few))
    sides = [to_float(side.read(range(min(len(side), JUDGED))).images) for side in (splits.train, splits.validation)]
    made = [to_float(batch.images) for batch in triptych.generate(model, range(JUDGED))]
    critic: Any = objective.critic
    return overfit(*(critic(x) for x in (*sides, torch.cat(made))))


def play(kind: str, few: Path, others: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Train with one kind of augmentation, and judge the run."""
    run, quiet = asked.out / kind, Screen(quiet=True)
    changes = [*asked.set, f"objective.augment={'null' if kind == 'none' else kind}"]
    done = triptych.train(
        asked.model, str(few), out=str(run), for_=asked.span, seed=asked.seed, set=changes, scores=0, screen=quiet
    )
    found = triptych.privacy(str(run), n=SAMPLES, screen=quiet).found["copies"]
    judged = triptych.evaluate(str(run), against=str(others), split="everything", n=SAMPLES, screen=quiet)
    scores = {one.key: one.estimate for one in judged.judgements[0].scores}
    distance = scores["frechet"]
    model, objective = store.load(run), store.load_objective(run)
    return {
        "augment": kind,
        "seen": done.seen,
        "p": float(objective.augment.p) if objective.augment is not None else 0.0,  # type: ignore[union-attr, arg-type]
        "overfit": standing(model, objective, few),
        "copies": found["per_10_000"] / 10_000,
        "copies_low": found["low"] / 10_000,
        "copies_high": found["high"] / 10_000,
        "distance": distance.value if distance else None,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as aligned text."""
    lines = [f"{'augment':12}{'images':>9}{'p':>7}{'overfit':>9}{'copies':>9}{'95%':>16}{'FD':>8}"]
    for row in rows:
        interval = f"{row['copies_low']:.2%} to {row['copies_high']:.2%}"
        distance = "-" if row["distance"] is None else f"{row['distance']:.1f}"
        figures = f"{row['seen']:9,}{row['p']:7.2f}{row['overfit']:9.2f}{row['copies']:9.2%}"
        lines.append(f"{row['augment']:12}{figures}{interval:>16}{distance:>8}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.few", description="A small set with and without augmentation.")
    parser.add_argument("classes", type=Path, help="a folder with train/CLASS/ and test/CLASS/")
    parser.add_argument("--class", dest="name", default="horse")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--for", dest="span", default="5min", help="training time of each")
    parser.add_argument("--model", default="r3gan")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="change a value of the recipe")
    parser.add_argument("--kinds", default=",".join(KINDS), help="with commas")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a folder for the images and the runs")
    asked = parser.parse_args()
    few, others = slice_of(asked.classes, asked.name, asked.images, asked.out)
    rows: list[dict[str, Any]] = []
    for kind in asked.kinds.split(","):
        rows.append(play(kind, few, others, asked))
        print(table(rows[-1:]).splitlines()[-1] if rows[1:] else table(rows), flush=True)
        (asked.out / "few.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
