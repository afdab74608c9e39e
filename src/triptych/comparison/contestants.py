"""Who takes part: recipes of the catalogue with their own changes, and images from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from triptych import recipe
from triptych.catalog import ONE_OF_EACH
from triptych.errors import UsageError, nearest


class Contestant(NamedTuple):
    """A model to train."""

    label: str
    model: str
    file: str | None  # a recipe file laid over the model's own
    changes: tuple[str, ...]  # KEY=VALUE

    def words(self, data: str, out: Path) -> list[str]:
        """The line of `triptych train` that trains it."""
        file = [] if self.file is None else ["--recipe", self.file]
        changes = [word for change in self.changes for word in ("--set", change)]
        return ["train", self.model, data, *file, *changes, "--out", str(out)]


def contestants(models: str | Sequence[str] | None, changes: Iterable[str] = ()) -> list[Contestant]:
    """Models given as `[LABEL=]NAME[@FILE.yaml]`, with the changes that concern each.

    A change is `KEY=VALUE` for all, or `LABEL:KEY=VALUE` for one. Without models: one of each family.
    Raises a `UsageError` for an unknown name and for a label that stands twice.
    """
    words = models.split(",") if isinstance(models, str) else ONE_OF_EACH if models is None else models
    found: dict[str, Contestant] = {}
    for word in dict.fromkeys(word.strip() for word in words):
        one = _contestant(word)
        if one.label in found:
            raise UsageError(f"--models: {one.label!r} stands twice; give each a label, such as small={one.model}.")
        found[one.label] = one
    for change in changes:
        own = re.match(r"([^=:]+):", change)
        if own and own[1] not in found:
            raise UsageError(f"--set {change}: no model here is called {own[1]!r}; {nearest(own[1], found)}")
        for label in [own[1]] if own else list(found):
            one = found[label]
            found[label] = one._replace(changes=(*one.changes, change[own.end() if own else 0 :]))
    return list(found.values())


def _contestant(word: str) -> Contestant:
    label, _, rest = word.rpartition("=")
    name, _, file = rest.partition("@")
    if name not in recipe.names():
        raise UsageError(f"--models: there is no model {name!r}; {nearest(name, recipe.names())}")
    label = label or (f"{name}@{Path(file).stem}" if file else name)
    if not re.fullmatch(r"[\w.@+-]+", label) or label.startswith("."):
        raise UsageError(f"--models: {label!r} cannot be a label; use letters, digits and . @ + - _")
    return Contestant(label, name, file or None, ())


def folders(given: Iterable[str] | Mapping[str, str], taken: Iterable[str]) -> dict[str, str]:
    """Images from elsewhere, as `NAME=PATH`: {name: path}."""
    pairs = given.items() if isinstance(given, Mapping) else [tuple(word.split("=", 1)) for word in given]
    found: dict[str, str] = {}
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise UsageError(f"--folder {'='.join(pair)}: give NAME=PATH, such as theirs=samples/.")
        if pair[0] in (*taken, *found):
            raise UsageError(f"--folder {'='.join(pair)}: {pair[0]!r} takes part already; give another name.")
        found[pair[0]] = pair[1]
    return found
