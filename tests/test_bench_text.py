"""The bench of texts: what it holds out, and that a model which knows every text is told from one that hears none."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest
import torch
from bench import text as bench
from image_files import encoded, noise
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Model
from triptych.data import open_data
from triptych.data.arrays import ArraySource
from triptych.labels import read
from triptych.pixels import to_float

CAPTIONS = [f"person {a}, fitzpatrick {b}" for a, b in itertools.product("uvwxyz", "123456")]
CAPTIONS += [f"{a} face with {b}" for a, b in itertools.product(("glad", "sad", "odd", "shy"), "78905")]
CAPTIONS += ["once", "white flag"]


def test_each_word_of_what_is_held_out_is_left_in_others() -> None:
    apart = bench.held_out(CAPTIONS)
    left = Counter(word for caption in set(CAPTIONS) - set(apart) for word in bench.words(caption))
    assert all(left[word] >= bench.LEAST for caption in apart for word in bench.words(caption))
    kinds = Counter(map(bench.kind_of, apart))
    assert set(kinds) == {"skin tones", "faces"}  # the one flag is not enough
    assert kinds["skin tones"] >= 12  # of at most 18
    assert bench.held_out(CAPTIONS[::-1]) == apart


def test_ranks_by_hand() -> None:
    real = torch.tensor([[0.0], [1.0], [5.0]])
    assert bench.ranks(torch.tensor([[0.2], [4.0], [4.0]]), real).tolist() == [0, 1, 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("texts")
    (root / "data").mkdir()
    for number, caption in enumerate([*CAPTIONS, "person u, fitzpatrick 1 again"]):
        pixels = noise(8, 8, 3, seed=number % len(CAPTIONS))  # the last one is a copy of the first
        (root / "data" / f"{number}.png").write_bytes(encoded(pixels))
        (root / "data" / f"{number}.txt").write_text(caption)
    taught, apart = bench.split(root / "data", root / "parts")
    assert taught + apart == len(CAPTIONS) + 1
    assert apart >= 12
    return root / "parts"


class Knowing(Model):
    """It has learnt the image of every text by heart; without a text it makes noise."""

    classes = 0
    reads = frozenset({"text"})  # type: ignore[assignment]

    def __init__(self, *sources: ArraySource) -> None:
        super().__init__()
        self.image_shape = self.latent_shape = sources[0].image_shape
        self.known = {text: source.read([row]).images[0] for source in sources for row, text in enumerate(source.texts)}
        self.unused = nn.Parameter(torch.zeros(()))

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        if "text" not in given:
            return z.clamp(-1, 1)
        return to_float(torch.stack([self.known[text] for text in read(given["text"])]))

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        return self.decode(draw.normal(*self.latent_shape), given)


def test_a_model_that_follows_texts_is_told_from_chance(folder: Path) -> None:
    splits = open_data(str(folder), size=(8, 8), channels=3, note=lambda text: None)
    assert not set(splits.train.texts) & set(splits.validation.texts)
    assert "person u, fitzpatrick 1" in splits.train.texts  # it has a copy
    found = bench.judge(Knowing(splits.train, splits.validation), splits.train, splits.validation, 2, {})
    by = {(row.captions, row.kind): row for row in found}
    for captions in ("held out", "seen"):
        assert by[captions, "all"].number == by[captions, "skin tones"].among == len(splits.validation)
        assert by[captions, "all"].top[0][0] == 1
        deaf = by[f"{captions}, no text", "all"].top[0]
        assert deaf[0] < by[captions, "all"].top[0][1]
    assert "held out, no text" in bench.table(found)
