"""`triptych models`: the catalogue, read from the recipes without building anything."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from triptych.flags import Flag
from triptych.recipe import About, about, names
from triptych.screen import SCREEN, Screen
from triptych.words import short


class Kept(NamedTuple):
    """A trained model that comes with the package."""

    name: str  # zoo/NAME, as every command takes it
    model: str
    family: str
    data: str
    image_shape: tuple[int, int, int]
    parameters: int
    bytes: int  # of its weights
    score: float  # FD-bundled against its training images
    command: str  # which trained it


def models(
    *,
    zoo: Annotated[bool, Flag("those that come trained")] = False,
    screen: Screen = SCREEN,
) -> list[About] | list[Kept]:
    """List the models: family, parameters (for 32x32 RGB images), what each can do, and its paper.

    Or, with --zoo, the trained ones that come with the package: zoo/NAME is a RUN to every command.
    """
    return _kept(screen) if zoo else _catalogue(screen)


def _catalogue(screen: Screen) -> list[About]:
    found = [about(name) for name in names()]
    columns = ("model", "family", "parameters", "can", "tuned for", "paper")
    rows = [(m.name, m.family, short(m.parameters, 2), _words(m.can), _words(m.tuned_for), m.paper) for m in found]
    screen.table(columns, rows)
    return found


def _kept(screen: Screen) -> list[Kept]:
    """The zoo."""
    from triptych import zoo
    from triptych.words import size

    found = [_one(name) for name in zoo.names()]
    columns = ("model", "family", "images", "parameters", "weights", "FD-bundled")
    rows = [
        (m.name, m.family, f"{m.data}, {m.image_shape[1]} px", short(m.parameters), size(m.bytes), short(m.score, 2))
        for m in found
    ]
    screen.table(columns, rows)
    return found


def _one(name: str) -> Kept:
    from triptych import zoo
    from triptych.intake import json_of, text_of
    from triptych.recipe import read_file

    folder = zoo.HERE / name
    tree, made = read_file(folder / "recipe.yaml"), json_of(text_of(folder / "score.json"))
    [score] = [score["value"] for score in made["scores"]["scores"] if score["key"] == "frechet"]
    return Kept(
        name=f"zoo/{name}",
        model=tree["name"],
        family=tree["about"]["family"],
        data=tree["data"]["name"],
        image_shape=tuple(tree["data"]["image_shape"]),
        parameters=made["parameters"],
        bytes=(folder / "model.safetensors").stat().st_size,
        score=score,
        command=made["command"],
    )


def _words(items: tuple[str, ...]) -> str:
    return ", ".join(items)
