"""Recipes: laid over each other, checked against signatures, and back to text."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import pytest
import yaml

from triptych import recipe, schema
from triptych.catalog import FAMILIES, MENU, ONE_OF_EACH
from triptych.core import abilities
from triptych.errors import UsageError


def test_layers_merge_and_another_kind_replaces() -> None:
    under = {"model": {"kind": "a", "width": 1, "depth": 2}, "game": "x", "batch": 4}
    assert recipe.lay_over(under, {"model": {"width": 3}})["model"] == {"kind": "a", "width": 3, "depth": 2}
    assert recipe.lay_over(under, {"model": {"kind": "b"}})["model"] == {"kind": "b"}
    assert recipe.lay_over(under, {"game": {"slope": 1}})["game"] == {"kind": "x", "slope": 1}
    assert under["model"] == {"kind": "a", "width": 1, "depth": 2}


def test_changes_come_last_and_keep_their_types(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("batch: 8\nmodel: {width: 12}\n")
    tree = recipe.read("dcgan", "other", file, ["model.width=96", "augment.flip=true"])
    assert tree["batch"] == 8
    assert tree["model"]["width"] == 96
    assert tree["augment"]["flip"] is True


def test_a_data_set_has_its_own_recipe() -> None:
    for name in ONE_OF_EACH:
        assert "digits" in recipe.about(name).tuned_for
        assert recipe.read(name, "digits") != recipe.read(name, "holiday photos")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("model.widht=3", "model.widht: dcgan has no such value; did you mean 'width'?"),
        ("modle.width=3", "modle: a recipe has no such value; did you mean 'model'?"),
        ("model.kind=dcgna", "there is no model 'dcgna'; did you mean 'dcgan'?"),
        ("objective.game=hing", "objective.game: there is no game 'hing'"),
        ("model.width=wide", "model.width: 'wide' does not fit"),
        ("batch=0", "batch: 0 does not fit"),
        ("batch=1.5", "batch: 1.5 does not fit"),
        ("ema.half_live=3", "did you mean 'half_life'?"),
        ("optimisers.critic.rate=fast", "optimisers.critic.rate: 'fast' does not fit"),
        ("objective.game=null", "objective.game: give the name of a game"),
        ("objective.penalty=r7", "objective.penalty: there is no penalty 'r7'; known: "),
        ("objective.penalty=3", "objective.penalty: give the name of a penalty"),
        ("objective=3", "objective: give the name of a objective"),
    ],
)
def test_wrong_values_are_named(change: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        schema.complete(recipe.read("dcgan", "x", None, [change]))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (None, None),
        ("objective.penalty=null", None),
        ("objective.penalty=r1", {"kind": "r1", "gamma": 1.0, "every": 1, "ramp": {"kind": "always"}}),
        ("objective.penalty={kind: r1, gamma: 2, ramp: {kind: warm-up, images: 5}}",
         {"kind": "r1", "gamma": 2.0, "every": 1, "ramp": {"kind": "warm-up", "images": 5, "start": 0.0}}),
    ],
)  # fmt: skip
def test_a_part_that_may_be_missing(change: str | None, expected: dict[str, Any] | None) -> None:
    node = schema.complete(recipe.read("dcgan", "x", None, [change] if change else []))["objective"]
    assert node["penalty"] == expected
    built = schema.build("objective", node, {"image_shape": (1, 8, 8), "classes": 0})
    assert (built.penalty and built.penalty.weight) == (expected and expected["gamma"] / 2)


def test_null_takes_a_penalty_away() -> None:
    node = schema.complete(recipe.read("r3gan", "x", None, ["objective.penalty=null"]))["objective"]
    assert node["penalty"] is None
    assert schema.complete(recipe.read("r3gan", "x"))["objective"]["penalty"]["kind"] == "r1-r2"


@pytest.mark.parametrize("change", ["width", "=3", "model.width=[1", "model.width={a: *b}"])
def test_changes_that_are_no_key_and_value(change: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        recipe.read("dcgan", "x", None, [change])


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "!!python/object/apply:os.system ['true']", "\x00", ""])
def test_files_that_are_no_recipe(tmp_path: pathlib.Path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"bad\.yaml"):
        recipe.read("dcgan", "x", file)
    with pytest.raises(UsageError, match=r"nothing\.yaml"):
        recipe.read("dcgan", "x", tmp_path / "nothing.yaml")


def test_unknown_model() -> None:
    with pytest.raises(UsageError, match="did you mean 'dcgan'"):
        recipe.about("dcgam")


@pytest.mark.parametrize("name", recipe.names())
def test_each_recipe_is_complete_and_survives_text(name: str) -> None:
    for data in ("x", *recipe.about(name).tuned_for):
        tree = schema.complete(recipe.read(name, data))
        assert schema.complete(yaml.safe_load(recipe.write(tree))) == tree
        assert not recipe.difference(tree, yaml.safe_load(recipe.write(tree)))


@pytest.mark.parametrize("name", recipe.names())
def test_the_catalogue_tells_the_truth(name: str) -> None:
    about = recipe.about(name)
    facts = {"image_shape": (3, 32, 32), "classes": 10}
    model = schema.build("model", schema.complete(recipe.read(name, "x"))["model"], facts)
    assert about.parameters == sum(p.numel() for p in model.parameters())
    assert set(about.can) - {"conditional"} == set(abilities(model)) - {"conditional"}
    assert about.family in FAMILIES
    assert ("conditional" in about.can) == ("conditional" in schema.complete(recipe.read(name, "x"))["model"])


@pytest.mark.parametrize(("role", "kind"), [(role, kind) for role in MENU for kind in MENU[role]])
def test_each_line_of_the_menu_is_there(role: str, kind: str) -> None:
    assert callable(schema._entry(role, kind, role).target)


def test_difference_is_said_key_by_key() -> None:
    there = {"model": {"width": 1, "same": [1, 2]}, "batch": 4}
    here = {"model": {"width": 2, "same": (1, 2)}, "seed": 1}
    assert recipe.difference(there, here) == [
        "model.width: 1 there, 2 here", "batch: 4 there, nothing here", "seed: nothing there, 1 here",
    ]  # fmt: skip


def test_an_optimiser_may_be_taken_away() -> None:
    tree = schema.complete(recipe.read("vae", "digits", None, ["model.fitted=null", "optimisers.prior=null"]))
    assert list(tree["optimisers"]) == ["bound"]


@pytest.mark.parametrize(
    "path", sorted((pathlib.Path(__file__).parents[1] / "recipes").glob("*.yaml")), ids=lambda p: p.stem
)
def test_recipes_beside_the_package_fit(path: pathlib.Path) -> None:
    """Each is named after the model that it lies on, or its family, and has no value that there is not."""
    (name,) = re.findall(r"triptych train (\S+) ", path.read_text(encoding="utf-8"))
    assert path.name.startswith((f"{name}-", f"{recipe.read(name, 'x')['about']['family']}-"))
    assert schema.complete(recipe.read(name, "x", path))["model"]["kind"]


def test_a_run_from_before_a_value_was_known_goes_on(train_tiny: Any) -> None:
    run = train_tiny("ddpm", 2)
    path = pathlib.Path(run.run) / "recipe.yaml"
    tree = yaml.safe_load(path.read_text())
    del tree["model"]["net"]["checkpointing"], tree["pieces"], tree["precision"], tree["compile"]
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    assert train_tiny("ddpm", 4).steps == 4
    tree["model"]["net"]["checkpointing"] = True
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    with pytest.raises(UsageError, match=r"differs in model\.net\.checkpointing"):
        train_tiny("ddpm", 6)
