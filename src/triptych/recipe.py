"""Recipes as text: found by name, laid over each other, compared.

A recipe is a YAML tree. `recipes/NAME.yaml` is a model of the catalogue; `recipes/NAME.DATA.yaml`
is laid over it when the data set has that name; a file and single values of the user's come last.
What the keys mean is not known here: `schema.py` checks a tree against the constructors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from triptych.errors import UsageError, nearest
from triptych.intake import text_of
from triptych.words import quoted, shown

Tree = dict[str, Any]
MOST_CHARACTERS = 2**18
MOST_NODES = 50_000  # values, lists and mappings of a recipe; the names of classes are most of them
DEEPEST = 32  # levels within each other
_BROKEN = re.compile(r"\\u[dD][89a-fA-F]")  # half a character, as names of files may hold; the C parser knows none


class About(NamedTuple):
    """A line of the catalogue."""

    name: str
    family: str
    paper: str
    can: tuple[str, ...]  # sample, encode, score, edit, conditional, text
    parameters: int  # of the model alone, for 32x32 RGB
    tuned_for: tuple[str, ...]  # data sets with a recipe of their own


@cache
def _shipped() -> tuple[str, ...]:
    folder = files("triptych") / "recipes"
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def names() -> tuple[str, ...]:
    """The models of the catalogue."""
    return tuple(name for name in _shipped() if "." not in name)


def about(name: str) -> About:
    """What a model is and can do, without building it."""
    head = _read_shipped(_known(name))["about"]
    tuned = tuple(entry.split(".", 1)[1] for entry in _shipped() if entry.startswith(name + "."))
    return About(name, head["family"], head["paper"], tuple(head["can"]), int(head["parameters"]), tuned)


def read(name: str, data: str, file: str | Path | None = None, changes: Iterable[str] = ()) -> Tree:
    """The recipe of model `name` for the data set called `data`, as an unchecked tree.

    `file` is a YAML file laid over it; `changes` are single values such as "model.width=96".
    """
    tree = _read_shipped(_known(name))
    if f"{name}.{data}" in _shipped():
        tree = lay_over(tree, _read_shipped(f"{name}.{data}"))
    if file is not None:
        tree = lay_over(tree, read_file(Path(file)))
    for change in changes:
        tree = lay_over(tree, _single(change))
    return tree


def read_file(path: Path) -> Tree:
    """A YAML mapping from a file, read by the safe loader."""
    try:
        text = text_of(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"The recipe {path} cannot be read: {error}.") from error
    return _parse(text, f"The recipe {path}")


def write(tree: Mapping[str, Any]) -> str:
    """A tree as YAML text, in its own order."""
    import yaml

    def dumped(readable: bool) -> str:
        return str(yaml.safe_dump(_listed(tree), sort_keys=False, allow_unicode=readable, width=110))

    text = dumped(True)
    return text if shown(text, keep="\n") == text else dumped(False)  # some line breaks would be lost


def lay_over(under: Tree, over: Mapping[str, Any]) -> Tree:
    """`over` on top of `under`: mappings merge, but a node of another kind replaces the node."""
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, str) and isinstance(value, Mapping):
            old = {"kind": old}
        if isinstance(old, dict) and isinstance(value, Mapping) and _same_kind(old, value):
            value = lay_over(old, value)
        merged[key] = value
    return merged


def _same_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return bool(new.get("kind", old.get("kind")) == old.get("kind"))


def difference(there: Mapping[str, Any], here: Mapping[str, Any], path: str = "") -> list[str]:
    """One line for each value in which two trees differ."""
    lines: list[str] = []
    for key in [*there, *(key for key in here if key not in there)]:
        old, new = there.get(key, "nothing"), here.get(key, "nothing")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += difference(old, new, f"{path}{key}.")
        elif _listed(old) != _listed(new):
            lines.append(f"{path}{key}: {old} there, {new} here")
    return lines


def _known(name: str) -> str:
    if name not in names():
        raise UsageError(f"There is no model {name!r} in the catalogue; {nearest(name, names())}")
    return name


@cache
def _shipped_text(name: str) -> str:
    return (files("triptych") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")


def _read_shipped(name: str) -> Tree:
    return _parse(_shipped_text(name), f"{name}.yaml")


def _parse(text: str, where: str) -> Tree:
    broken = bool(_BROKEN.search(text))
    if len(text) > (most := MOST_CHARACTERS // 8 if broken else MOST_CHARACTERS):
        raise UsageError(f"{where} has {len(text):,} characters; a recipe has at most {most:,}.")
    try:
        _bearable(text, loader := _loader(broken))
        tree = loader(text).get_single_data()
    except Exception as error:  # a tag on a value it does not fit makes the loader raise anything
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{where} is not YAML that is read: {detail[:300]}.") from error
    if not isinstance(tree, dict):
        raise UsageError(f"{where} must hold keys and values, such as 'batch: 64'.")
    return tree


def _bearable(text: str, loader: Any) -> None:
    """Raises a `ValueError` where a text has more or deeper nodes than a recipe, or aliases; makes none of them."""
    import yaml

    nodes = depth = 0
    for event in yaml.parse(text, loader):
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"*{event.anchor} repeats another part, write it out")
        if nodes > MOST_NODES or depth > DEEPEST:
            raise ValueError(f"it has more than {MOST_NODES:,} values, or more than {DEEPEST} levels")


@cache
def _loader(slow: bool) -> Any:
    """The safe loader, unless `slow` in C where there is one, that refuses a key which is there twice."""
    import yaml

    class Loader(yaml.SafeLoader if slow else getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for name in names if len(set(names)) < len(names) else []:
                if names.count(name) > 1:
                    raise ValueError(f"{name} is there twice, {node.start_mark}")
            return super().construct_mapping(node, deep)

    return Loader


def _single(change: str) -> Tree:
    path, equals, value = change.partition("=")
    if not equals or not path.strip() or path.count(".") > DEEPEST:
        raise UsageError(f"--set {quoted(change)} is not key=value, such as model.width=96.")
    parsed = _parse(f"value: {value}", f"--set {quoted(change)}")
    if list(parsed) != ["value"]:
        raise UsageError(f"--set {quoted(change)} sets more than one value: give --set once for each.")
    tree: Any = parsed["value"]
    for key in reversed(path.strip().split(".")):
        tree = {key: tree}
    return dict(tree)


def _listed(value: Any) -> Any:
    """Tuples as lists, as YAML has them."""
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    return value
