"""Does a model follow texts that it has never seen? Retrieval of held-out combinations of known words.

    python -m bench.text --split DATA FOLDER       # copies of the images: FOLDER/train and, held out, FOLDER/test
    triptych train MODEL FOLDER
    python -m bench.text RUN FOLDER [--each 4] [--guidance W] [--steps N] [-o FILE.json]

DATA is a folder of images with captions. A caption is held out only if each of its words is in `LEAST` captions or
more that are trained on, and no other caption has the same pixels. For each held-out caption the model makes a few
images, whose mean features (the bundled extractor) are compared with those of the real images of all held-out
captions. Of a text that is not followed, the own image is the nearest in 1 of M.

top-1, top-5  share of captions whose own image is the nearest, or among the five nearest, with exact 95% intervals
seen          the same for as many captions that were trained on, among their images
no text       the same images asked for without text: what chance gives
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from triptych.core import NOTHING, Given, Model
from triptych.data import open_data
from triptych.data.arrays import ArraySource
from triptych.extractors import Extractor, extractor
from triptych.labels import written
from triptych.metrics.estimate import share
from triptych.sampling import chosen, generate
from triptych.store import load

KINDS = {"skin tones": ("fitzpatrick", 100), "flags": ("flag", 8), "faces": ("face", 24)}  # a word, captions at most
LEAST = 3  # captions of training in which each word of a held-out one is
TOP = (1, 5)


class Row(NamedTuple):
    """How often the own image of a caption was found."""

    captions: str  # held out, seen, no text
    kind: str
    number: int
    among: int
    top: tuple[tuple[float, float, float], ...]  # for each of TOP: the share and its interval


def words(caption: str) -> frozenset[str]:
    """The words of a caption, without commas."""
    return frozenset(caption.lower().replace(",", " ").split())


def kind_of(caption: str) -> str:
    """The first of KINDS whose word a caption has, or ""."""
    return next((k for k, (mark, _) in KINDS.items() if any(w.startswith(mark) for w in words(caption))), "")


def shuffled(captions: Sequence[str]) -> list[str]:
    """Each caption once, in an order that follows from the captions alone."""
    return sorted(set(captions), key=lambda caption: hashlib.sha256(caption.encode()).digest())


def held_out(captions: Sequence[str]) -> list[str]:
    """The captions to hold out: up to so many of each kind, all of their words left in `LEAST` others or more."""
    left = Counter(word for caption in set(captions) for word in words(caption))
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for caption in shuffled(captions):
        kind, its = kind_of(caption), words(caption)
        if kind and len(its) > 1 and len(found[kind]) < KINDS[kind][1] and min(left[word] for word in its) > LEAST:
            found[kind].append(caption)
            left.subtract(its)
    return [caption for some in found.values() for caption in some]


def single(source: ArraySource) -> list[str]:
    """The captions whose images have pixels of their own, and one image alone."""
    same = Counter(row.tobytes() for row in source.digests)
    uses = Counter(source.texts)
    pairs = zip(source.texts, source.digests, strict=True)
    return [text for text, row in pairs if text and uses[text] == same[row.tobytes()] == 1]


def split(data: Path, folder: Path) -> tuple[int, int]:
    """Copy the images of `data` into train/ and test/ of a new folder, with their captions; how many are in each."""
    source = open_data(str(data), size=64).everything
    apart = set(held_out(single(source)))
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for name, text in zip(source.names, source.texts, strict=True):
        side, flat = "test" if text in apart else "train", name.replace("/", "__")
        (folder / side).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / name, folder / side / flat)
        lines[side].append(json.dumps({"file_name": flat, "text": text}))
    for side, its in lines.items():
        (folder / side / "metadata.jsonl").write_text("\n".join(its) + "\n", encoding="utf-8")
    return len(lines["train"]), len(lines["test"])


def ranks(made: Tensor, real: Tensor) -> Tensor:
    """For each row of `made` (N, D), how many rows of `real` (N, D) are nearer than the own one, (N,); 0 is best."""
    distance = torch.cdist(made, real)
    return (distance < distance.diagonal()[:, None]).sum(1)


def features(model: Model, given: Given, number: int, each: int, look: Extractor, how: dict[str, Any]) -> Tensor:
    """The mean features (N, D) of `each` images for each of N captions; image j of caption i has seed i * each + j."""
    told = {name: value.repeat_interleave(each, 0) for name, value in given.items()}
    made = [look.look(part.images).features for part in generate(model, range(number * each), told, **how)]
    return torch.cat(made).view(number, each, -1).mean(1)


def rows(captions: str, texts: Sequence[str], found: Tensor) -> list[Row]:
    """The shares of all captions, and of each kind, from the ranks (N,) of their own images."""
    kinds = [kind_of(text) for text in texts]
    parts = {"all": found} | {kind: found[[k == kind for k in kinds]] for kind in KINDS if kind in kinds}
    return [
        Row(captions, kind, len(part), len(found), tuple(share(int((part < top).sum()), len(part)) for top in TOP))
        for kind, part in parts.items()
    ]


def judge(model: Model, train: ArraySource, test: ArraySource, each: int, how: dict[str, Any]) -> list[Row]:
    """Retrieval for held-out captions, with and without text, and for seen ones of the same kinds."""
    look = extractor("bundled")
    wanted, alike = Counter(map(kind_of, test.texts)), dict[str, int]()
    order = {text: row for row, text in enumerate(train.texts)}
    for text in shuffled(single(train)):
        if wanted[kind_of(text)] > 0:
            wanted[kind_of(text)] -= 1
            alike[text] = order[text]
    found: list[Row] = []
    for name, texts, images in (
        ("held out", list(test.texts), test.read(range(len(test))).images),
        ("seen", list(alike), train.read(list(alike.values())).images),
    ):
        real = look.look(images).features
        for label, given in ((name, {"text": written(texts)}), (f"{name}, no text", NOTHING)):
            made = features(model, given, len(texts), each, look, how)
            found += rows(label, texts, ranks(made, real))
    return found


def table(found: Sequence[Row]) -> str:
    """The rows as aligned text, in percent, with what chance gives."""
    lines = [
        f"{'captions':20}{'kind':12}{'n':>5}" + "".join(f"{f'top-{top}':>8}{'95%':>16}{'chance':>8}" for top in TOP)
    ]
    for row in found:
        figures = "".join(
            f"{value:8.1%}{f'{low:.1%} to {high:.1%}':>16}{top / row.among:8.1%}"
            for top, (value, low, high) in zip(TOP, row.top, strict=True)
        )
        lines.append(f"{row.captions:20}{row.kind:12}{row.number:5}{figures}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.text", description="Retrieval of held-out captions.")
    parser.add_argument("source", type=Path, help="a run folder; with --split a folder of images with captions")
    parser.add_argument("folder", type=Path, help="the folder that --split wrote or is to write")
    parser.add_argument("--split", action="store_true", help="write the folder and stop")
    parser.add_argument("--each", type=int, default=4, help="images of each caption")
    for flag in ("sampler", "steps", "guidance"):
        parser.add_argument(f"--{flag}")
    parser.add_argument("-o", "--out", type=Path, help="the rows as JSON")
    asked = parser.parse_args()
    if asked.split:
        print("{:,} images to train on, {:,} held out".format(*split(asked.source, asked.folder)))
        return
    model = load(asked.source)
    channels, height, width = model.image_shape
    splits = open_data(str(asked.folder), size=(height, width), channels=channels)
    how = chosen(sampler=asked.sampler, steps=asked.steps, guidance=asked.guidance)
    found = judge(model, splits.train, splits.validation, asked.each, how)
    print(table(found))
    if asked.out:
        asked.out.write_text(json.dumps([row._asdict() for row in found], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
