"""Texts on their way to a model: prompts, what is checked at the door, and models that take none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.cli import main
from triptych.core import NOTHING, Given, Model, abilities
from triptych.data.arrays import ArraySource
from triptych.errors import UsageError
from triptych.gallery import sink
from triptych.insight.asking import over
from triptych.insight.traversal import strips
from triptych.labels import read, written
from triptych.sampling import generate, prompted
from triptych.together.latent import Latent


class Counting(Model):
    """Every pixel is the number of bytes of the image's text, over 255."""

    classes = 0
    image_shape = latent_shape = (1, 2, 2)
    reads = frozenset({"text"})  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        count = (given["text"] >= 0).sum(1) if "text" in given else torch.zeros(len(z))
        return (count / 127.5 - 1).view(-1, 1, 1, 1).expand(-1, *self.image_shape)

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        return self.decode(x, given)

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        return self.decode(draw.normal(*self.latent_shape), given)


def counts(given: Given, images: int, batch: int) -> list[int]:
    made = generate(Counting(), range(images), given, batch)
    return [int(image.max()) for part in made for image in part.images]


def test_texts_come_in_turn_and_are_cut_into_batches() -> None:
    given = prompted(["a", "a  red heart "], 5)
    assert read(given["text"]) == ["a", "a red heart"] * 2 + ["a"]
    assert counts(given, 5, 2) == counts(given, 5, 5) == [1, 11, 1, 11, 1]
    assert counts({}, 2, 2) == [0, 0]
    assert prompted(None, 3) == prompted([], 3) == {}
    assert read(prompted("é", 1)["text"]) == ["é"]


def test_a_file_holds_a_text_on_each_line(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("\ufeffone\n\n  two \n", encoding="utf-8")
    assert read(prompted([f"@{tmp_path}/p.txt", "three"], 4)["text"]) == ["one", "two", "three", "one"]
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "odd.txt").write_bytes(b"\xff")
    for name, said in (("empty.txt", "is empty"), ("odd.txt", "UTF-8 file"), ("none.txt", "UTF-8 file")):
        with pytest.raises(UsageError, match=said):
            prompted(f"@{tmp_path}/{name}", 1)


@pytest.mark.parametrize(
    ("text", "said"), [("", "give 1 to 256"), (" ", "give 1"), ("x" * 257, "1 to 256"), ("\udcff", "not UTF-8")]
)
def test_texts_that_are_none(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        prompted(["fine", text], 3)


@pytest.mark.parametrize(
    "text",
    [torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), written(["a"]), torch.full((2, 1), 256),
     torch.full((2, 1), -2), torch.zeros((2, 257), dtype=torch.int64)],
)  # fmt: skip
def test_texts_that_do_not_fit_are_named(text: Tensor) -> None:
    with pytest.raises(UsageError, match="text "):
        generate(Counting(), [0, 1], {"text": text})


def test_who_takes_text_says_so() -> None:
    assert abilities(Counting()) == ("sample", "encode", "text")
    latent = Latent(Counting(), lambda image_shape: Counting())
    assert latent.reads == {"text"}
    with pytest.raises(UsageError, match="takes no text"):
        generate(Deaf(), [0], prompted("a", 1))


class Deaf(Counting):
    """It hears nothing."""

    reads = frozenset()  # type: ignore[assignment]


def test_images_bring_their_own_text_where_it_is_heard() -> None:
    source = ArraySource(np.zeros((3, 1, 2, 2), np.uint8), texts=["a", "", "abc"])
    assert [int(to_count(part)) for part in over(Counting(), source, told_of, batch=1)] == [1, 0, 3]
    assert [int(to_count(part)) for part in over(Deaf(), source, told_of, batch=1)] == [0, 0, 0]
    told = {"text": written(["xx"]).expand(3, -1)}
    assert [int(to_count(part)) for part in over(Counting(), source, told_of, batch=2, told=told)] == [2, 2]


def told_of(x: Tensor, given: Given, part: Any) -> Tensor:
    return Counting().decode(x, given)


def to_count(x: Tensor) -> Tensor:
    return ((x.max() + 1) * 127.5).round()


def test_a_text_is_repeated_along_a_traversal() -> None:
    (strip,) = strips(Counting(), torch.zeros(1, 4), [0], given=prompted("abc", 1))
    assert {int(strip.min()), int(strip.max())} == {3}


def test_an_array_holds_the_texts(tmp_path: Path) -> None:
    place = sink(tmp_path / "x.npz", 3, 0)
    for part in generate(Counting(), range(3), prompted(["ab", "é"], 3), 2):
        place.add(part)
    place.close()
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["text"].tolist() == ["ab", "é", "ab"]


def test_a_model_without_text_trains_on_captions_and_refuses_text(
    train_tiny: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from image_files import encoded, noise

    for index in range(40):
        (tmp_path / "set" / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / "ab"[index % 2] / f"{index}.png").write_bytes(encoded(noise(8, 8, seed=index)))
        (tmp_path / "set" / "ab"[index % 2] / f"{index}.txt").write_text(f"number {index}")
    for name, *changes in (["dcgan"], ["vae", "model.conditional=true"], ["ddpm", "model.conditional=true"]):
        run = train_tiny(name, 2, name, data=str(tmp_path / "set"), changes=tuple(changes))
        out = str(tmp_path / f"{name}.png")
        assert main(["sample", run.run, "-n", "2", "-o", out, "--quiet"]) == 0
        assert main(["sample", run.run, "-n", "2", "-o", out, "--text", "a red heart", "--quiet"]) == 2
        assert "takes no text" in capsys.readouterr().err
