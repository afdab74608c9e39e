"""How a command's parameter becomes a flag: `Annotated[type, Flag("what it is")]`.

Parameters before the `*` are positional, those behind it are flags named after them; the command
line reads the signature, so a default stands in one place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

RUN = "a run folder, one checkpoint in its at/, or zoo/NAME"  # what every command takes that wants a trained model


class Flag(NamedTuple):
    """The help text of one parameter, and other spellings of its flag."""

    help: str
    names: tuple[str, ...] = ()  # instead of --parameter-name
    metavar: str | None = None
    many: bool = False  # may be given several times; arrives as a list
    several: bool = False  # takes one word or more; arrives as a list


Device = Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps", metavar="NAME")]  # where a command computes

# What `train` and `plan` both take.
Precision = Annotated[str | None, Flag("float32, bfloat16, auto: what is faster here", metavar="NAME")]
Compile = Annotated[str | None, Flag("compile the networks: on, off, auto: where it pays", metavar="WHEN")]
Changes = Annotated[
    Iterable[str] | Mapping[str, Any],
    Flag("change a value of the recipe, such as model.width=96", many=True, metavar="KEY=VALUE"),
]
RecipeFile = Annotated[str | None, Flag("a YAML file laid over the model's recipe", metavar="FILE")]
Size = Annotated[int | str | None, Flag("bring images to 64 or 48x64 (height x width)", metavar="PIXELS")]
Channels = Annotated[int | str | None, Flag("1 grey, 2 grey+alpha, 3 RGB, 4 RGBA (default: as the data)")]
Fit = Annotated[str, Flag("crop, pad or stretch images of another shape", metavar="HOW")]
