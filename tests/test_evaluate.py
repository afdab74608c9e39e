"""`triptych evaluate`: runs, folders, arrays and tensors against real images, and its page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from triptych import catalog, recipe
from triptych.commands.evaluate import evaluate
from triptych.commands.sample import sample
from triptych.data import open_data
from triptych.errors import CheckpointError, DataError, TriptychError, UsageError
from triptych.evaluation import read, summarise
from triptych.extractors import extractor
from triptych.metrics.table import scores
from triptych.screen import Screen

QUIET = Screen(quiet=True)
HOW: dict[str, Any] = {"extractor": "pixels", "screen": QUIET}
ENCODES = next(name for name in recipe.names() if "score" in recipe.about(name).can)
SAMPLES = next(name for name in catalog.ONE_OF_EACH if "encode" not in recipe.about(name).can)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def digits(count: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (N, 8, 8) and labels, from scikit-learn itself."""
    values, labels = load_digits(return_X_y=True)
    part = slice(start, start + count)
    return np.rint(values[part] * 255 / 16).astype(np.uint8).reshape(-1, 8, 8), labels[part]


def write(folder: Path, images: np.ndarray) -> str:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03d}.png")
    return str(folder)


def test_an_array_gets_the_scores_of_its_features(tmp_path: Path) -> None:
    images, labels = digits(150)
    np.savez(tmp_path / "mine.npz", images=images, labels=labels)
    found = evaluate("mine.npz", against="digits", **HOW)
    (judgement,) = found.judgements
    splits, look = open_data("digits", note=print), extractor("pixels")
    mine = open_data("mine.npz", note=print).everything
    by_hand = scores(summarise(read(splits.train), look), summarise(read(mine), look))
    assert judgement.scores == by_hand
    assert judgement.setting[:1] + judgement.setting[2:6] == ("pixels", 150, len(splits.train), "digits", "train")
    assert judgement.setting.reference == splits.train.fingerprint[:12]
    assert len(judgement.kernels) == 10  # both sides name the ten digits
    assert found.skills is None
    assert found.page == "evaluation-mine.html"
    held_out = {score.key: score.estimate for score in judgement.held_out}
    assert held_out["frechet"].value > 0
    copies = {score.key: score.estimate for score in judgement.scores}["authenticity"]
    assert copies.value < 0.2  # most of them are training images


def test_folder_and_tensor_count_as_the_array_does() -> None:
    images, _ = digits(110)
    folder = evaluate(write(Path("made"), images), against="digits", split="everything", **HOW)
    tensor = evaluate(torch.from_numpy(images)[:, None], against="digits", split="everything", **HOW)
    assert folder.judgements[0].scores == tensor.judgements[0].scores
    assert (tensor.name, tensor.made) == ("Tensor", "all 110 images of a tensor")
    assert folder.judgements[0].setting.n_real == 1797
    assert folder.judgements[0].held_out == ()


def test_the_page_and_its_json_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("mine.npz", images=digits(150)[0])
    found = evaluate("mine.npz", against="digits", extractor="pixels,pixels", out="to/page.html", screen=Screen())
    facts = json.loads(Path("to/page.json").read_text(encoding="utf-8"))
    page = Path("to/page.html").read_text(encoding="utf-8")
    values = re.findall(r'data-value="([^"]+)"', page)
    estimates = [score.estimate for judgement in found.judgements for score in judgement.scores if score.estimate]
    assert [float(value) for value in values] == [estimate.value for estimate in estimates]
    assert facts["judgements"][1]["scores"][0]["estimate"]["value"] == estimates[0].value
    assert facts["judgements"][0]["setting"]["n_real"] == found.judgements[0].setting.n_real
    assert "http:" not in page.replace("http://www.w3.org", "")
    assert "https:" not in page
    assert page.count("data:image/png") == 64 + 64 + 24 + 24
    assert "compare models with each other; they are not the numbers of papers" in page
    said = capsys.readouterr().err
    assert "150 generated against 1,603 real images (digits, train, reference" in said
    lines = [line for line in said.splitlines() if line.startswith(("metric", "FD-pixels"))]
    assert len({line.index(word) for line, word in zip(lines, ("better", "lower") * 2, strict=True)}) == 1


def test_names_are_shown_as_text() -> None:
    for number, image in enumerate(digits(40)[0]):
        folder = Path("real") / (HOSTILE if number % 2 else "other")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    found = evaluate(write(Path(f"m {HOSTILE}"), digits(20, 40)[0]), against="real", **HOW)
    page = Path(found.page).read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 2
    assert Path(found.page).parent == Path()


def test_a_run_is_held_against_what_it_was_trained_on(train_tiny: Callable[..., Any], tmp_path: Path) -> None:
    run = train_tiny(ENCODES, 2).run
    found = evaluate(run, n=120, seed=5, **HOW)
    assert found.against == "digits"
    assert found.made == "120 images, seeds 5 to 124"
    assert Path(found.page) == Path(run) / "evaluation.html"
    assert found.skills is not None
    assert 0 < found.skills.probe.value <= 1
    assert found.skills.probe_of_pixels.value > 0.9
    assert found.skills.bits.value > 0
    assert found.skills.bits_are == "bound"
    sample(run, n=120, seed=5, out="x.npz", screen=QUIET)
    assert evaluate("x.npz", against="digits", **HOW).judgements[0].scores == found.judgements[0].scores
    checkpoint = next((Path(run) / "at").iterdir())
    again = evaluate(str(checkpoint), n=120, seed=5, against="digits", split="validation", **HOW)
    assert again.judgements[0].setting.split == "validation"
    assert again.page == f"evaluation-{checkpoint.name}.html"


def test_a_model_that_only_samples_and_other_data(train_tiny: Callable[..., Any]) -> None:
    run = train_tiny(SAMPLES, 1).run
    other = write(Path("other"), digits(60, 100)[0])
    found = evaluate(run, n=8, against=other, split="everything", **HOW)
    assert found.skills is None
    assert found.judgements[0].setting.n_real == 60
    with pytest.raises(DataError, match="8 images are 8x8x1, but the reference is 16x8x1; give --size to convert both"):
        evaluate(run, n=8, against=write(Path("tall"), np.zeros((9, 16, 8), np.uint8)), **HOW)
    converted = evaluate(run, n=8, against=str(Path("tall")), split="everything", size="16x16", fit="stretch", **HOW)
    assert converted.judgements[0].setting.n_made == 8
    with pytest.raises(UsageError, match="no 'steps'"):
        evaluate(run, n=8, steps=5, **HOW)


def test_data_that_changed_since_the_training_is_said(train_tiny: Callable[..., Any], capfd: Any) -> None:
    folder = write(Path("photos"), digits(60)[0])
    run = train_tiny(SAMPLES, 1, data=folder).run
    evaluate(run, n=4, extractor="pixels", screen=Screen())
    assert "no longer holds" not in capfd.readouterr().err
    Image.fromarray(digits(1, 70)[0][0]).save(Path(folder) / "new.png")
    evaluate(run, n=4, extractor="pixels", screen=Screen())
    assert "photos no longer holds the images that this model was trained on" in capfd.readouterr().err


def test_copies_are_looked_for_when_asked() -> None:
    images, _ = digits(30)
    splits = open_data("digits", note=print)
    planted = splits.train.read(range(10)).images
    found = evaluate(torch.cat([planted, torch.from_numpy(images)[:0, None]]), against="digits", privacy=True, **HOW)
    assert found.privacy is not None
    assert (found.privacy["copies"]["flagged"], found.privacy["copies"]["of"]) == (10, 10)
    assert "Copies" in Path(found.page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("source", "wishes", "kind", "sentence"),
    [
        ("mine.npz", {}, UsageError, "--against is missing"),
        ("mine.npz", {"against": "digits", "split": "trian"}, UsageError, "did you mean 'train'"),
        ("mine.npz", {"against": "digits", "extractor": "pixel"}, UsageError, "did you mean 'pixels'"),
        ("mine.npz", {"against": "digits", "n": 5}, UsageError, "-n is for models, and mine.npz holds images"),
        ("mine.npz", {"against": "digits", "steps": 5}, UsageError, "--steps is for models"),
        ("mine.npz", {"against": "digits", "out": "page.pdf"}, UsageError, r"ends in \.html"),
        ("mine.npz", {"against": "digits", "channels": 5}, UsageError, "--channels"),
        ("mine.npz", {"against": "digit"}, UsageError, "did you mean 'digits'"),
        ("one.npz", {"against": "digits"}, DataError, "There is one generated image"),
        ("none.npz", {"against": "digits"}, DataError, r"are \(0, 8, 8, 1\)"),
        ("nan.npz", {"against": "digits"}, DataError, "are float32: save 0 to 255 as uint8"),
        (
            "colour.npz",
            {"against": "digits"},
            DataError,
            "9 images are 8x8x3, but the reference is 8x8x1; give --chann",
        ),
        ("empty", {"against": "digits"}, DataError, "No image in empty can be used"),
        ("gone/", {"against": "digits"}, DataError, "gone/ does not exist"),
        ("broken", {}, CheckpointError, "holds no checkpoint yet"),
    ],
)
def test_bad_wishes_are_a_sentence(
    source: str, wishes: dict[str, Any], kind: type[TriptychError], sentence: str
) -> None:
    np.savez("mine.npz", images=digits(20)[0])
    np.savez("one.npz", images=digits(1)[0])
    np.savez("none.npz", images=digits(0)[0])
    np.savez("nan.npz", images=np.full((5, 8, 8), np.nan, np.float32))
    np.savez("colour.npz", images=np.zeros((9, 8, 8, 3), np.uint8))
    for folder in ("empty", "broken"):
        Path(folder).mkdir()
    Path("broken/recipe.yaml").write_text("model: x\n")
    with pytest.raises(kind, match=sentence):
        evaluate(source, **{**HOW, **wishes})
    assert not list(Path().glob("*.html"))


def test_mixed_images_are_converted_only_when_told() -> None:
    folder = Path(write(Path("mixed"), digits(30)[0]))
    Image.new("L", (16, 16)).save(folder / "large.png")
    with pytest.raises(
        DataError, match="30 images are 8x8x1 and 1 is 16x16x1, but the reference is 8x8x1; give --size"
    ):
        evaluate("mixed", against="digits", **HOW)
    assert evaluate("mixed", against="digits", size=8, **HOW).judgements[0].setting.n_made == 31


def test_a_tensor_of_another_kind_is_a_sentence() -> None:
    for wrong in (torch.full((5, 1, 8, 8), torch.nan), torch.zeros(5, 8, 8, dtype=torch.uint8)):
        with pytest.raises(UsageError, match="give uint8 images"):
            evaluate(wrong, against="digits", **HOW)


def test_a_page_that_cannot_be_written_is_a_sentence() -> None:
    np.savez("mine.npz", images=digits(20)[0])
    Path("file").write_text("")
    with pytest.raises(TriptychError, match="cannot be written") as caught:
        evaluate("mine.npz", against="digits", out="file/page.html", **HOW)
    assert caught.value.code == 5
