"""What a recipe may say: the constructors' signatures, checked by pydantic, and the built objects.

A node of a recipe is a mapping with a `kind` from the catalogue; its other keys are the parameters
of the callable of that name. A parameter annotated with a role of the catalogue (`Annotated[...,
"critic"]`) is itself a node, and may be null where its default is None. One that is marked "later" too
(`Annotated[..., "model", "later"]`) comes as a function, which is told facts that are not those of the
data and then builds it. `image_shape` and `classes` are facts of the data, filled in by name; so are
`words` and `shown`, which a model tells its network.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Literal, NamedTuple, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, create_model

from triptych.catalog import MENU
from triptych.errors import UsageError, nearest
from triptych.words import quoted

Facts = Mapping[str, Any]
FACTS = ("image_shape", "classes", "words", "shown")
LATER = "later"
_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


class Averaging(BaseModel):
    """The moving average of the weights; both in images, see `training/ema.py`."""

    model_config = _STRICT
    half_life: PositiveInt
    ramp_up: float = Field(0.05, gt=0)


class Augment(BaseModel):
    """What is done to each training image, see `data/stream.py`."""

    model_config = _STRICT
    flip: bool = False
    shift: int = Field(0, ge=0)


class Stop(BaseModel):
    """Early stopping, see `training/holdout.py`: a number on held-out images, TURN/NAME, and a patience."""

    model_config = _STRICT
    watch: str
    patience: PositiveInt


class Top(BaseModel):
    """The keys of a recipe."""

    model_config = _STRICT
    about: dict[str, Any]
    model: Any
    objective: Any
    optimisers: dict[str, Any]
    ema: Averaging | None
    batch: int = Field(ge=1, le=65536)
    pieces: int = Field(default=1, ge=1, le=65536)  # in which a batch is computed, one after another
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # of the products in losses; auto: what is faster
    compile: bool | Literal["auto"] = "auto"  # the networks; auto: where it is measured to pay
    images: int = Field(ge=1, le=2**53)
    augment: Augment = Augment(flip=False, shift=0)
    stop: Stop | None = None
    weights: dict[str, str] = {}  # part of the model ("": all of it) -> the run that it starts from


def complete(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with every default written out; raises a `UsageError` that names each wrong key."""
    _finite(tree, "")
    top = _checked(Top, dict(tree), "").model_dump()
    top["model"] = complete_node("model", top["model"], "model")
    top["objective"] = complete_node("objective", top["objective"], "objective")
    top["optimisers"] = {
        turn: complete_node("optimiser", node, f"optimisers.{turn}")
        for turn, node in top["optimisers"].items()
        if node is not None  # a recipe laid over another may take one away
    }
    return top


def _finite(node: Any, path: str) -> None:
    """Raise a `UsageError` for the first number in a tree that is none."""
    if isinstance(node, float) and not math.isfinite(node):
        raise UsageError(f"{path}: {node} is no number to work with; give a finite one.")
    inside = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        _finite(value, f"{path}.{key}" if path else str(key))


def build(role: str, node: Mapping[str, Any], facts: Facts) -> Any:
    """The object that a complete node describes."""
    entry = _entry(role, node["kind"], role)
    if not entry.called:
        return entry.target
    values: dict[str, Any] = {}
    for name, part in entry.parts.items():
        make = partial(_build_later if name in entry.later else build, part)
        values[name] = None if node[name] is None else make(node[name], facts)
    for name in entry.schema.model_fields:
        if name not in entry.parts:
            values[name] = tuple(node[name]) if isinstance(node[name], list) else node[name]
    return entry.target(**values, **{name: facts[name] for name in entry.facts})


def ways(kind: str) -> list[str]:
    """Which values of a model say no more than how it samples unless asked otherwise: its `sample` takes them too."""
    entry = _entry("model", kind, "model")
    sample = getattr(entry.target, "sample", None)  # a function that makes models has none
    asked = inspect.signature(sample).parameters if sample else {}
    return [name for name in entry.schema.model_fields if name in asked]


def akin(one: str, other: str) -> bool:
    """Whether two kinds of model take the same values, so that what one is made of makes the other."""
    fields = (set(_entry("model", kind, "model").schema.model_fields) for kind in (one, other))
    return next(fields) - {"kind"} == next(fields) - {"kind"}


def _build_later(role: str, node: Mapping[str, Any], facts: Facts) -> Callable[..., Any]:
    """A function that builds the object when it is told what differs from the facts of the data."""
    return lambda **others: build(role, node, {**facts, **others})


class Entry(NamedTuple):
    """A line of the catalogue, imported."""

    target: Any
    called: bool
    schema: type[BaseModel]
    parts: dict[str, str]  # parameter -> role
    later: frozenset[str]  # those of the parts that come as a function
    facts: tuple[str, ...]


def _entry(role: str, kind: object, path: str) -> Entry:
    if not isinstance(kind, str) or kind not in MENU[role]:
        raise UsageError(f"{path}: there is no {role} {quoted(kind)}; {nearest(str(kind)[:80], MENU[role])}")
    home, _, name = MENU[role][kind].partition(":")
    target = getattr(import_module(home), name.removesuffix("()"))
    if not name.endswith("()"):
        return Entry(target, False, create_model(kind, __config__=_STRICT), {}, frozenset(), ())
    return Entry(target, True, *_signature(kind, target))


def _signature(
    kind: str, target: Callable[..., Any]
) -> tuple[type[BaseModel], dict[str, str], frozenset[str], tuple[str, ...]]:
    """The schema of a callable, its parameters that are nodes, those that are built later, and its facts."""
    parameters = inspect.signature(target).parameters
    function = target.__init__ if inspect.isclass(target) else target  # type: ignore[misc]
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    parts: dict[str, str] = {}
    for name, parameter in parameters.items():
        if name in FACTS or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue  # a class without a constructor of its own shows nn.Module's *args
        roles = [mark for mark in _marks(hints[name]) if isinstance(mark, str) and mark in MENU]
        required = parameter.default is inspect.Parameter.empty
        if roles:
            parts[name] = roles[0]
            default = ... if required else _kind_of(roles[0], parameter.default)
            fields[name] = (Any, default)
        else:
            fields[name] = (hints[name], ... if required else parameter.default)
    schema = create_model(kind, __config__=_STRICT, **fields)
    later = frozenset(name for name in parts if LATER in _marks(hints[name]))
    return schema, parts, later, tuple(name for name in FACTS if name in parameters)


def _marks(hint: Any) -> list[Any]:
    """What an annotation is marked with, `Annotated[X, "critic"]` or that or None."""
    return [mark for part in (hint, *get_args(hint)) for mark in get_args(part)]


def _kind_of(role: str, value: Any) -> Any:
    """The catalogue's name of a default value that is a part, such as a game."""
    if value is None or isinstance(value, (str, dict)):
        return value
    for kind, address in MENU[role].items():
        if address == f"{value.__module__}:{getattr(value, '__name__', '')}":
            return kind
    raise TypeError(f"the default {value!r} is not in the catalogue under {role!r}")


def complete_node(role: str, node: Any, path: str) -> dict[str, Any]:
    """A node with every default written out; raises a `UsageError` that names each wrong key behind `path`."""
    node = {"kind": node} if isinstance(node, str) else node
    if not isinstance(node, Mapping) or "kind" not in node:
        raise UsageError(f"{path}: give the name of a {role}; {nearest('', MENU[role])}")
    entry = _entry(role, node["kind"], path)
    given = {key: value for key, value in node.items() if key != "kind"}
    values = _checked(entry.schema, given, path, str(node["kind"])).model_dump()
    for name, part in entry.parts.items():
        if values[name] is not None or entry.schema.model_fields[name].default is not None:
            values[name] = complete_node(part, values[name], f"{path}.{name}")
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return {"kind": node["kind"], **plain}


def _checked(schema: type[BaseModel], values: Mapping[str, Any], path: str, kind: str = "a recipe") -> BaseModel:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        sentences = [_sentence(schema, detail, path, kind) for detail in error.errors()]
    raise UsageError("\n".join(sentences))


def _sentence(schema: type[BaseModel], detail: Any, path: str, kind: str) -> str:
    """One pydantic error in our words."""
    where = ".".join([path, *(str(step) for step in detail["loc"])] if path else [str(s) for s in detail["loc"]])
    if detail["type"] == "extra_forbidden":
        return f"{where}: {kind} has no such value; {nearest(str(detail['loc'][-1]), _fields(schema, detail))}"
    if detail["type"] == "missing":
        return f"{where}: {kind} needs this value; add it to the recipe."
    says = detail["msg"][0].lower() + detail["msg"][1:]
    return f"{where}: {quoted(detail['input'])} does not fit: {says}."


def _fields(schema: type[BaseModel], detail: Any) -> list[str]:
    """The keys that stand beside the wrong one."""
    for step in detail["loc"][:-1]:
        annotation = schema.model_fields[step].annotation if step in schema.model_fields else None
        inner = [t for t in (annotation, *get_args(annotation)) if isinstance(t, type) and issubclass(t, BaseModel)]
        schema = inner[0] if inner else schema
    return list(schema.model_fields)
