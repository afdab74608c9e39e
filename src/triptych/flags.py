"""How a command's parameter becomes a flag: `Annotated[type, Flag("what it is")]`.

Parameters before the `*` are positional, those behind it are flags named after them; the command
line reads the signature, so a default stands in one place.
"""

from __future__ import annotations

from typing import NamedTuple

RUN = "a run folder, one checkpoint in its at/, or zoo/NAME"  # what every command takes that wants a trained model


class Flag(NamedTuple):
    """The help text of one parameter, and other spellings of its flag."""

    help: str
    names: tuple[str, ...] = ()  # instead of --parameter-name
    metavar: str | None = None
    many: bool = False  # may be given several times; arrives as a list
    several: bool = False  # takes one word or more; arrives as a list
