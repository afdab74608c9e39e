"""The zoo: each model opens, is small, follows its recipe and makes what it made when it was measured."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

import triptych
from test_cli import quickest
from triptych import recipe, schema, store, zoo
from triptych.cli import COMMANDS, main, parser_of
from triptych.commands.evaluate import evaluate
from triptych.commands.models import models
from triptych.commands.sample import sample
from triptych.commands.train import changes_of, train
from triptych.errors import CheckpointError, UsageError
from triptych.screen import Screen
from triptych.words import short, size

ROOT = Path(__file__).parent.parent
LINES = yaml.safe_load((ROOT / "tools" / "zoo.yaml").read_text(encoding="utf-8"))
each = pytest.mark.parametrize("name", zoo.names())


def made(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((zoo.HERE / name / "score.json").read_text(encoding="utf-8"))
    return found


@each
def test_it_opens_and_an_image_follows_its_seed(name: str) -> None:
    model = triptych.load(f"zoo/{name}")
    assert all(t.dtype == torch.float32 for t in model.parameters())
    two = next(triptych.generate(model, [3, 4])).images
    again = next(triptych.generate(triptych.load(f"zoo/{name}"), [3, 4])).images
    alone = next(triptych.generate(model, [4])).images
    assert torch.equal(two, again)
    assert (two[1].int() - alone[0].int()).abs().max() <= 1
    assert not torch.equal(two[0], two[1])


@each
def test_its_weights_are_halves_of_what_it_says(name: str) -> None:
    tensors = store._tensors(zoo.HERE / name / "model.safetensors")
    assert {t.dtype for t in tensors.values() if t.is_floating_point()} == {torch.float16}
    assert sum(p.numel() for p in triptych.load(f"zoo/{name}").parameters()) == made(name)["parameters"]


def test_the_zoo_is_small() -> None:
    sizes = {name: sum(file.stat().st_size for file in (zoo.HERE / name).iterdir()) for name in zoo.names()}
    assert max(sizes.values()) <= 2_000_000
    assert sum(sizes.values()) <= 12_000_000


def test_each_family_has_one_and_each_line_its_model() -> None:
    assert sorted(LINES["models"]) == list(zoo.names())
    families = {recipe.about(store.read_recipe(f"zoo/{name}")["name"]).family for name in zoo.names()}
    assert families == {"gan", "vae", "diffusion"}


@each
def test_it_was_trained_by_its_line_and_the_published_recipe(name: str) -> None:
    """Where a recipe has changed since, `python tools/zoo.py NAME` is due."""
    line, stored = LINES["models"][name], store.read_recipe(f"zoo/{name}")
    assert made(name)["command"] == f"triptych {line}"
    assert made(name)["data"] == LINES["data"][stored["data"]["name"]]
    asked = parser_of("train", train).parse_args(shlex.split(line)[1:])
    assert (asked.model, int(asked.seed)) == (stored["name"], stored["seed"])
    changes = changes_of(asked.set, precision=asked.precision, compile=asked.compile)
    wished = schema.complete(recipe.read(asked.model, asked.data, asked.recipe and ROOT / asked.recipe, changes))
    kept = {key: value for key, value in stored.items() if key not in ("name", "seed", "data")}
    assert recipe.difference(schema.complete(kept), wished) == []


@each
def test_its_card_says_what_matters(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", f"zoo/{name}", "--json", "--quiet"]) == 0
    text, facts = json.loads(capsys.readouterr().out)["text"], made(name)
    assert yaml.safe_load(text.split("---\n")[1])["datasets"] == [store.read_recipe(f"zoo/{name}")["data"]["name"]]
    licence = f"licence: {facts['data']['licence']}"
    for words in (f"triptych sample zoo/{name}", facts["command"], licence):
        assert words in text
    assert all(f"| {score['label']} |" in text for score in facts["scores"]["scores"])


def test_a_run_has_a_card_too(train_tiny: Callable[..., Any], quiet: Screen, tmp_path: Path) -> None:
    run = train_tiny("vae", 2)
    text = triptych.card(run.run, screen=quiet).text
    assert "32 images" in text
    assert "Nobody has measured it" in text
    assert "Not stated" in text
    evaluate(run.run, n=300, screen=quiet)
    assert triptych.card(run.run, out=str(tmp_path / "card.md"), screen=quiet).path == str(tmp_path / "card.md")
    assert "| FD-bundled |" in (tmp_path / "card.md").read_text(encoding="utf-8")


def test_the_zoo_is_listed(quiet: Screen) -> None:
    found = models(zoo=True, screen=quiet)
    assert [one.name for one in found] == [f"zoo/{name}" for name in zoo.names()]


def takers() -> dict[str, list[str]]:
    """The commands that take a RUN first, and the words that must follow."""
    found = {}
    for name in COMMANDS:
        command = getattr(import_module(f"triptych.commands.{name}"), name)
        run, *others = [action for action in parser_of(name, command)._actions if action.required] or [None]
        if run and re.search("zoo/NAME|run folder", str(run.help)):
            found[name] = [word for action in others for word in (*action.option_strings[:1], "digits")]
    return found


@pytest.mark.parametrize(("name", "more"), takers().items())
def test_names_that_it_lacks_are_refused(name: str, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """By every command that takes a run: so zoo/NAME is one to each."""
    assert main([name, "zoo/digits-emd", *more]) == 2
    assert "The zoo has no model 'digits-emd'; did you mean 'digits-edm'?" in capsys.readouterr().err


def test_a_folder_of_the_users_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert zoo.place("zoo/digits-edm") == zoo.HERE / "digits-edm"
    (tmp_path / "zoo" / "digits-edm").mkdir(parents=True)
    assert zoo.place("zoo/digits-edm") == Path("zoo/digits-edm")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        triptych.load("zoo/digits-edm")
    (tmp_path / "zoo" / "digits-edm").rmdir()
    with pytest.raises(UsageError, match="The zoo has no model 'digits-edm/at'"):
        zoo.place("zoo/digits-edm/at")


def test_half_precision_is_taken_exactly_and_nothing_else_is() -> None:
    wanted = nn.Linear(2, 1).state_dict()
    store._same_kinds(wanted, {name: t.half() for name, t in wanted.items()})
    for kind in (torch.float64, torch.bfloat16, torch.int32):
        with pytest.raises(ValueError, match=r"and not torch\.float32"):
            store._same_kinds(wanted, {name: t.to(kind) for name, t in wanted.items()})


def test_the_page_tells_of_each() -> None:
    text = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    for one in models(zoo=True, screen=Screen(quiet=True)):
        facts = made(one.name.removeprefix("zoo/"))
        copies = f"{facts['scores']['copies']['flagged']} of {facts['scores']['copies']['of']:,}"
        cells = (f"`{one.name}`", one.family, short(one.parameters), size(one.bytes), short(one.score, 2), copies)
        assert f"| {' | '.join(cells)} |" in text
        assert f"(pictures/{one.name.replace('/', '-')}.png)" in text
        assert facts["data"]["licence"] in text


@pytest.mark.slow
def test_the_first_picture_takes_seconds(tmp_path: Path) -> None:
    """From a cold start, importing torch and all."""
    words = ("-m", "triptych", "sample", "zoo/digits-edm", "-n", "64", "-o", str(tmp_path / "grid.png"))
    assert quickest(4, *words) < 4
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.width > 300


@pytest.mark.slow
@each
def test_its_picture_still_holds(name: str, quiet: Screen, tmp_path: Path) -> None:
    """Without the data that the score wants; a level apart where another processor rounds otherwise."""
    sample(f"zoo/{name}", out=str(tmp_path / "now.png"), screen=quiet)
    pages = (tmp_path / "now.png", ROOT / "docs" / "pictures" / f"zoo-{name}.png")
    now, before = (np.asarray(Image.open(page)).astype(int) for page in pages)
    assert now.shape == before.shape
    assert np.abs(now - before).mean() < 1


@pytest.mark.slow
@each
def test_its_score_still_holds(name: str, quiet: Screen, tmp_path: Path) -> None:
    """The same seeds make the same images, up to what another processor rounds otherwise."""
    facts, where = made(name), store.read_recipe(f"zoo/{name}")["data"]["where"]
    if where != "digits":
        pytest.skip(f"{where} does not come with the package")
    found = evaluate(f"zoo/{name}", n=facts["scores"]["n_made"], out=str(tmp_path / "x.html"), screen=quiet)
    scores = {score.key: score.estimate for score in found.judgements[0].scores}
    [before] = [score["value"] for score in facts["scores"]["scores"] if score["key"] == "frechet"]
    assert scores["frechet"] is not None
    assert scores["frechet"].value == pytest.approx(before, abs=0.01, rel=0.03)
