"""`triptych reconstruct`, `score`, `traverse`, `anomalies`, `interpolate --between`, `sample` as people call them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import triptych
from linear import Linear
from triptych.cli import main
from triptych.core import Spends
from triptych.data import open_data
from triptych.errors import UsageError
from triptych.insight import own
from triptych.metrics.images import psnr
from triptych.pixels import to_float, to_uint8, write_png
from triptych.quantities import share
from triptych.sampling import accepts, choices, generate
from triptych.walking import Walk, lerp

Make = Callable[..., Any]


def silent(text: str) -> None:
    """Notes that nobody reads."""


@pytest.fixture
def run(train_tiny: Make) -> str:
    return str(train_tiny("vae", 80).run)


@pytest.fixture
def photographs(tmp_path: Path) -> list[str]:
    images = open_data("digits", note=silent).validation.read(range(3)).images
    return [str(write_png(image, tmp_path / f"photo-{i}.png")) for i, image in enumerate(images)]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def tile(path: Path, row: int, column: int) -> Any:
    """One 8 px image of a picture of tiles of 48 px."""
    with Image.open(path) as picture:
        return np.asarray(picture)[2 + 50 * row :, 2 + 50 * column :][:48:6, :48:6]


def test_photographs_come_back(
    run: str, photographs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "r.png"
    done = said(capsys, "reconstruct", run, *photographs, "-o", str(out))
    images = open_data("digits", note=silent).validation.read(range(3)).images
    model: Any = triptych.load(run)
    with torch.no_grad():
        again = to_uint8(model.decode(model.encode(to_float(images))))
    assert done["psnr"] == pytest.approx(psnr(images, again).tolist(), abs=0.1)
    assert done["median"] == sorted(done["psnr"])[1]
    assert done["latents"] == "mean"
    assert np.array_equal(tile(out, 1, 0), images[1, 0].numpy())
    assert np.abs(tile(out, 1, 1).astype(int) - again[1, 0].numpy()).max() <= 1
    drawn, other = (
        said(capsys, "reconstruct", run, "digits", "--draw", "--seed", seed, "-o", str(out)) for seed in "45"
    )
    assert (drawn["images"], drawn["latents"]) == (1797, "draw")
    assert drawn["psnr"] != other["psnr"]


def test_scores_are_written_by_name(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["score", run, "digits", "--samples", "2", "-o"]
    done = said(capsys, *words, str(tmp_path / "s.csv"))
    with (tmp_path / "s.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "class", "nats", "bits_per_dim"]
    nats = np.array([float(row["nats"]) for row in rows])
    assert (done["bound"], done["samples"], done["images"]) == (True, 2, len(rows))
    assert done["nats"]["value"] == pytest.approx(nats.mean())
    assert done["nats"]["low"] < done["nats"]["value"] < done["nats"]["high"]
    assert done["bits"]["value"] == pytest.approx(-nats.mean() / (64 * math.log(2)))
    said(capsys, *words, str(tmp_path / "s.npz"), "--batch", "50")
    with np.load(tmp_path / "s.npz") as arrays:
        np.testing.assert_allclose(arrays["nats"], nats, rtol=1e-4)
        assert arrays["names"].tolist() == [row["name"] for row in rows]
        assert arrays["labels"][5] == int(rows[5]["class"])


def test_what_a_score_is_stands_beside_it(
    run: str, photographs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", run, photographs[0], "--samples", "3", "-o", str(tmp_path / "s.csv")]) == 0
    shown = capsys.readouterr().err
    assert "one image with" in shown
    assert "interval" not in shown
    assert "a lower bound on the nats and an upper one on the bits, from 3 draws an image" in shown


def test_a_model_of_several_ways_says_which(
    train_tiny: Make, run: str, photographs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = train_tiny("edm", 3, "several", changes=("model.conditional=false",)).run
    words = ["score", model, photographs[0], "-o", str(tmp_path / "s.csv")]
    done = said(capsys, *words)
    assert (done["bound"], done["samples"]) == (True, 16)
    assert "infinitely many steps" in done["by"]
    assert said(capsys, *words, "--by", "ancestral", "--samples", "4")["samples"] == 4
    assert main([*words, "--by", "flow"]) == 0
    assert "bits by the probability flow with random traces, from 1 draw an image" in capsys.readouterr().err
    assert main([*words, "--by", "flwo"]) == 2
    assert "did you mean 'flow'" in capsys.readouterr().err
    assert main(["score", run, photographs[0], "--by", "flow", "-o", str(tmp_path / "s.csv")]) == 2
    assert "one way only" in capsys.readouterr().err


def test_latents_are_ordered_by_what_they_spend(
    run: str, photographs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "t.png"
    done = said(capsys, "traverse", run, photographs[0], "--steps", "3", "--rows", "2", "-o", str(out))
    model: Any = triptych.load(run)
    assert isinstance(model, Spends)
    held_out = open_data("digits", note=silent).validation
    x = to_float(held_out.read(range(len(held_out))).images)
    with torch.no_grad():
        nats, active = model.spent(x).mean(0), int((model.encode(x).var(0) > 0.01).sum())
    assert done["nats"] == pytest.approx(sorted(nats.tolist(), reverse=True), rel=1e-3)
    assert done["latents"] == nats.argsort(descending=True).tolist()
    assert (done["active"], done["units"], done["images"], done["shown"]) == (active, 4, len(x), 2)
    said(capsys, "reconstruct", run, photographs[0], "-o", str(tmp_path / "r.png"))
    for row in range(2):
        assert np.array_equal(tile(out, row, 1), tile(tmp_path / "r.png", 0, 1))
    said(capsys, "traverse", run, "--seed", "3", "--steps", "3", "--over", "digits", "-o", str(out))
    (own_image,) = generate(model, [3])
    assert np.abs(tile(out, 0, 1).astype(int) - own_image.images[0, 0].numpy()).max() <= 1


@pytest.mark.parametrize("way", ["likelihood", "reconstruction"])
def test_strange_images_get_a_page(run: str, way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    negatives = 255 - open_data("digits", note=silent).train.read(range(20)).images.permute(0, 2, 3, 1).numpy()
    np.savez(tmp_path / "negatives.npz", images=negatives)
    out = tmp_path / "strange"
    words = ["anomalies", run, str(tmp_path / "negatives.npz"), "--by", way, "--share", "2%", "-o", str(out)]
    done = said(capsys, *words, *(["--samples", "2"] if way == "likelihood" else []))
    count = done["found"]["flagged"]
    assert count >= 10
    assert done["found"]["limit"]["share"] == 0.02
    assert done["found"]["limit"]["normal"] == len(open_data("digits", note=silent).validation)
    assert f"{count} of 20 images ({count / 20:.1%})" in (out / "index.html").read_text(encoding="utf-8")
    assert done["found"]["classes"] == []
    against = said(capsys, "anomalies", run, "digits", "--normal", "digits", "--by", way, "-o", str(out))
    assert len(against["found"]["classes"]) == 10
    assert against["found"]["limit"]["normal"] == against["found"]["of"] == 1797
    assert against["found"]["trained_on"] == 0  # nobody asked


def test_a_walk_between_photographs_ends_at_their_reconstructions(
    run: str, photographs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strip, again = tmp_path / "w.png", tmp_path / "r.png"
    words = ["interpolate", run, "--between", *photographs, "--frames", "2", "-o", str(strip)]
    done = said(capsys, *words)
    said(capsys, "reconstruct", run, *photographs, "-o", str(again))
    assert (done["images"], done["seeds"], done["space"], done["way"]) == (6, [], "latent", "spherical")
    for row, column, image in ((0, 0, 0), (0, 2, 1), (1, 0, 1), (1, 2, 2)):
        assert np.abs(tile(strip, row, column).astype(int) - tile(again, image, 1)).max() <= 1
    assert said(capsys, *words, "--path", "linear")["way"] == "linear"


def test_a_linear_path_is_a_line_of_latents() -> None:
    model = Linear(torch.tensor([1.0, 0.5]))
    keys = torch.tensor([[0.4, 0.0], [0.0, 1.0]])
    middle = torch.cat(list(Walk(model, keys, path="linear").frames(2)))[1]
    wanted = to_uint8(model.decode(lerp(keys[:1], keys[1:], torch.tensor([0.5]))))[0]
    assert torch.equal(middle, wanted)
    assert not torch.equal(torch.cat(list(Walk(model, keys).frames(2)))[1], wanted)


def test_sampling_takes_what_the_model_names() -> None:
    model = Linear(torch.tensor([1.0, 0.5]))
    assert choices(model) == {"temperature": 1.0, "pixels": "mean"}
    accepts(model, {"temperature": 0.5, "pixels": "draw"})
    (cold,) = generate(model, range(50), temperature=0.001)
    assert (cold.images.int() - 128).abs().max() <= 1
    with pytest.raises(UsageError, match="no 'truncation'"):
        accepts(model, {"truncation": 0.5})


def test_what_sampling_chose_is_said(train_tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gan = train_tiny("dcgan", 1, "gan").run
    said_of = said(capsys, "sample", gan, "-n", "2", "--truncation", "0.5", "-o", str(tmp_path / "g.png"))
    assert said_of["how"] == {"truncation": 0.5}
    assert main(["sample", gan, "-n", "2", "-o", str(tmp_path / "g.png")]) == 0
    assert "(truncation 1.0)" in capsys.readouterr().err
    for wrong in (["--temperature", "0.5"], ["--pixels", "draw"]):
        assert main(["sample", gan, *wrong, "-o", str(tmp_path / "x.png"), "--quiet"]) == 2


@pytest.mark.parametrize("wrong", [["--temperature", "0"], ["--temperature", "2.1"], ["--temperature", "nan"],
                                   ["--pixels", "noise"]])  # fmt: skip
def test_samples_are_refused_at_the_door(run: str, wrong: list[str], tmp_path: Path) -> None:
    assert main(["sample", run, *wrong, "-o", str(tmp_path / "x.png"), "--quiet"]) == 2
    assert not (tmp_path / "x.png").exists()


def test_wrong_wishes_are_sentences(
    run: str, photographs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty").mkdir()
    at = str(tmp_path)
    cases: list[tuple[int, list[str], str]] = [
        (2, ["score", run, "digits", "--samples", "0"], "--samples is '0'"),
        (2, ["score", run, "digits", "-o", f"{at}/x.parquet"], "ends in .csv or .npz"),
        (5, ["score", run, "digits", "-o", f"{at}/file/x.csv"], "cannot be made"),
        (3, ["score", run, f"{at}/empty"], "empty"),
        (2, ["reconstruct", run, "digits", "-o", at + "/x.gif"], "ends in .png"),
        (3, ["reconstruct", run, f"{at}/text.png"], "text.png is not used"),
        (3, ["reconstruct", run, photographs[0], "digits"], "digits cannot be read"),
        (3, ["reconstruct", run, "x" * 300 + "/\0.png"], "does not exist"),
        (2, ["traverse", run, "--reach", "-1"], "--reach is '-1'"),
        (2, ["traverse", run, "--labels", "0"], "takes no labels"),
        (2, ["anomalies", run, "digits", "--share", "0"], "--share is '0'"),
        (2, ["anomalies", run, "digits", "--by", "looks"], "--by is 'looks'"),
        (2, ["anomalies", run, "digits", "--by", "reconstruction", "--samples", "3"], "--samples is for"),
        (5, ["anomalies", run, "digits", "-o", f"{at}/file"], "cannot be made"),
        (3, ["anomalies", run, "digits", "--normal", f"{at}/empty", "-o", f"{at}/a"], "empty"),
        (2, ["interpolate", run, "--between", photographs[0]], "two images or more"),
        (2, ["interpolate", run, "--between", *photographs, "--seeds", "1,2"], "give one of them"),
        (2, ["interpolate", run, "--path", "crooked"], "no path 'crooked'"),
        (3, ["interpolate", run, "--between", photographs[0], f"{at}/none.png"], "none.png cannot be read"),
    ]
    for code, words, sentence in cases:
        out = [] if "-o" in words else ["-o", f"{at}/x.png" if words[0] != "score" else f"{at}/x.csv"]
        capsys.readouterr()
        assert main([*words, *out, "--quiet"]) == code, words
        error = capsys.readouterr().err
        assert sentence in error, (words, error)
        assert len(error.splitlines()) == 1


def test_models_that_cannot_say_who_can(
    train_tiny: Make, photographs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gan = train_tiny("dcgan", 1, "gan").run
    for words in (
        ["reconstruct", gan, "digits", "-o", "x.png"],
        ["score", gan, "digits", "-o", "x.csv"],
        ["traverse", gan, "-o", "x.png"],
        ["anomalies", gan, "digits", "-o", str(tmp_path / "a")],
        ["interpolate", gan, "--between", *photographs, "-o", "x.png"],
    ):
        capsys.readouterr()
        assert main([*words, "--quiet"]) == 2
        assert "vae" in capsys.readouterr().err, words
    assert not (tmp_path / "a" / "index.html").exists()


def test_a_run_whose_images_are_gone_says_so(
    train_tiny: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = open_data("digits", note=silent).train.read(range(40)).images
    np.savez(tmp_path / "mine.npz", images=images.permute(0, 2, 3, 1).numpy())
    run = train_tiny("vae", 1, data=str(tmp_path / "mine.npz")).run
    notes: list[str] = []
    np.savez(tmp_path / "mine.npz", images=images[1:].permute(0, 2, 3, 1).numpy())
    own(triptych.load(run), notes.append)
    assert any("no longer holds the images" in note for note in notes)
    (tmp_path / "mine.npz").unlink()
    assert main(["anomalies", run, "digits", "-o", str(tmp_path / "a"), "--quiet"]) == 3
    assert "not at hand" in capsys.readouterr().err


def test_shares() -> None:
    assert share("1%", "--share") == share("0.01", "--share") == share(0.01, "--share") == 0.01
    for wrong in ("0", "100%", "-1%", "x", "", "nan", 1):
        with pytest.raises(UsageError, match="--share is"):
            share(wrong, "--share")


def test_temperature_and_pixels_reach_the_model(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "s.npz")
    images = {}
    for flags in ("", "--temperature 0.001", "--pixels draw"):
        done = said(capsys, "sample", run, "-n", "4", *flags.split(), "-o", out)
        with np.load(out) as arrays:
            images[flags] = arrays["images"].astype(int)
    assert done["how"]["pixels"] == "draw"
    assert np.ptp(images["--temperature 0.001"], 0).mean() < np.ptp(images[""], 0).mean()
    assert np.abs(images["--pixels draw"] - images[""]).mean() > 2
