"""Train models of the zoo by the lines of `tools/zoo.yaml`, and pack them into `src/triptych/zoo/NAME`.

    python tools/zoo.py digits-edm

The run stays in `runs/zoo/NAME`; the same line again goes on with it. What is packed are the averaged weights in
half precision, with the recipe and the scores of the packed weights: 2,000 images at seeds 0 to 1,999 against the
training images. Images at seeds 0 to 63 go to `docs/pictures/zoo-NAME.png`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from triptych import recipe, store, zoo
from triptych.cli import parser_of
from triptych.commands.evaluate import evaluate
from triptych.commands.sample import sample
from triptych.commands.train import Trained, train
from triptych.report.card import figures
from triptych.sampling import generate

LINES = Path(__file__).with_suffix(".yaml")
PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
RUNS = Path("runs/zoo")
IMAGES = 2000  # of which each model's scores are taken


def build(name: str) -> Path:
    """Train a model by its line, score it as it is packed, and put it into the package: its folder there."""
    lines = recipe.read_file(LINES)
    line = lines["models"][name]
    trained = played(shlex.split(line), RUNS / name)
    checkpoint = Path(str(trained.checkpoint))
    tree, weights = store.read_recipe(checkpoint), halves(store.load(checkpoint).state_dict())
    where = tree["data"]["where"]
    tree["data"]["where"] = Path(where).name  # where it lies on this machine is nobody's business
    made = {
        "command": f"triptych {line}",
        "parameters": trained.parameters,
        "data": lines["data"][tree["data"]["name"]],
    }
    with TemporaryDirectory() as folder:
        packed = store.save_best(Path(folder), trained.seen, tree, weights, made)
        page = Path(folder) / "evaluation.html"
        images = torch.cat([part.images for part in generate(store.load(packed), range(IMAGES))])
        evaluate(images, against=where, privacy=True, out=str(page))
        made["scores"] = figures(json.loads(page.with_suffix(".json").read_text(encoding="utf-8")))
        packed = store.save_best(Path(folder), trained.seen, tree, weights, made)
        shutil.rmtree(zoo.HERE / name, ignore_errors=True)
        shutil.copytree(packed, zoo.HERE / name)
    sample(f"zoo/{name}", out=str(PICTURES / f"zoo-{name}.png"))
    return zoo.HERE / name


def played(words: list[str], run: Path) -> Trained:
    """What the words of a line do, with their run in `run`."""
    values = vars(parser_of("train", train).parse_args([*words[1:], "--out", str(run)]))
    return train(**{key: value for key, value in values.items() if key not in ("json", "quiet")})


def halves(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Single precision as half precision; raises a `ValueError` for what is too large for it."""
    packed = {name: t.half() if t.dtype == torch.float32 else t for name, t in weights.items()}
    wrong = [name for name, t in packed.items() if not torch.isfinite(t).all()]
    if wrong:
        raise ValueError(f"half precision cannot hold {', '.join(wrong)}")
    return packed


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and pack models of the zoo.")
    parser.add_argument("names", nargs="+", choices=sorted(recipe.read_file(LINES)["models"]), metavar="NAME")
    for name in parser.parse_args().names:
        print(f"Wrote {build(name)}.")


if __name__ == "__main__":
    main()
