"""A run: recipe and data made into objects and a folder.

The only place where everything meets. What is trained follows from the tree that is written to
`recipe.yaml`; a folder that holds another tree is refused, so nothing is overwritten by mistake.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import nn

from triptych import chance, devices, durable, lock, ranks, recipe, schema, store, ways
from triptych.core import Model, Turn
from triptych.data import NAMED, Splits, Stream, open_data
from triptych.errors import UsageError, nearest
from triptych.quantities import count, operations, seconds
from triptych.screen import Screen
from triptych.training.ema import Ema
from triptych.training.state import Cast, State

BUDGET_KEYS = {"images", "stop", "pieces"}  # may differ between two starts of one run


class Budget(NamedTuple):
    """When a run has done enough: so many images, so much time, so many FLOPs, or the recipe's images."""

    images: int | None
    seconds: float | None
    flops: float | None = None

    @classmethod
    def of(cls, images: int | str | None, span: float | str | None, flops: float | str | None = None) -> Self:
        return cls(
            None if images is None else count(images, "--images"),
            None if span is None else seconds(span, "--for"),
            None if flops is None else operations(flops, "--flops"),
        )

    def or_else(self, images: int) -> Budget:
        """This budget, or `images` where it says nothing."""
        return self if any(self) else Budget(images, None)

    def in_images(self, images_for: Callable[[float], int]) -> Budget:
        """This budget with its FLOPs as images."""
        if self.flops is None:
            return self
        images = images_for(self.flops)
        return Budget(min(images, self.images or images), self.seconds)

    def share(self, state: State) -> float:
        """How much of it is spent, 1 at its end."""
        parts = [state.seen / self.images] if self.images else []
        parts += [state.seconds / self.seconds] if self.seconds else []
        return min(1.0, max(parts, default=0.0))

    def spent(self, state: State) -> bool:
        return (self.images is not None and state.seen >= self.images) or (
            self.seconds is not None and state.seconds >= self.seconds
        )


class Wishes(NamedTuple):
    """What the user asked to be trained."""

    model: str
    data: str
    seed: int
    changes: tuple[str, ...] = ()
    file: str | None = None
    size: tuple[int, int] | None = None
    channels: int | None = None
    fit: str = "crop"


@dataclass
class Run:
    """Everything of one run, built."""

    folder: Path
    tree: dict[str, Any]
    cast: Cast
    turns: list[Turn]
    splits: Splits
    stream: Stream
    state: State
    device: torch.device
    screen: Screen

    @property
    def name(self) -> str:
        return str(self.tree["name"])


def tree_of(wishes: Wishes, screen: Screen) -> tuple[dict[str, Any], Splits]:
    """The complete recipe with the facts of the data, and the data."""
    name = wishes.data if wishes.data in NAMED else ""
    recipe_tree = schema.complete(recipe.read(wishes.model, name, wishes.file, wishes.changes))
    with screen.progress("reading", 1, keep=False) as line:
        splits = open_data(
            wishes.data, size=wishes.size, channels=wishes.channels, fit=wishes.fit, note=screen.say,
            progress=lambda done, total: line(done / max(total, 1), f"{done:,} of {total:,} files"),
        )  # fmt: skip
    source = splits.train
    data = {
        "where": str(wishes.data),
        "name": splits.name,
        "image_shape": list(source.image_shape),
        "class_names": list(source.class_names),
        "images": len(source),
        "fingerprint": source.fingerprint,
        "fit": wishes.fit,
    }
    return {"name": wishes.model, "seed": wishes.seed, **recipe_tree, "data": data}, splits


def with_models_of(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The tree with the model nodes of the runs that its parts start from.

    The run in `folder`, where it has begun, holds them itself and needs those runs no more. How images are made
    unless asked otherwise, such as in how many steps, stays as this recipe says.
    """
    begun = recipe.read_file(folder / "recipe.yaml") if (folder / "recipe.yaml").exists() else None
    model = tree["model"]
    for place, there in tree["weights"].items():
        found = (
            _part(begun["model"], place) if begun else _made_as(_part(model, place), store.read_recipe(there)["model"])
        )
        model = _planted(model, place.split(".") if place else [], found, f"weights.{place}")
    return {**tree, "model": schema.complete_node("model", model, "model")}


def _made_as(here: Any, found: dict[str, Any]) -> dict[str, Any]:
    """The node of a trained model; where that here takes the same values, of its kind and with its ways of sampling."""
    if not isinstance(here, dict) or not schema.akin(here["kind"], found["kind"]):
        return found
    ways = {name: here[name] for name in schema.ways(here["kind"]) if name in here}
    return {**found, "kind": here["kind"], **ways}


def _part(node: Any, place: str) -> Any:
    """The node at a place of a model's node; None where there is none."""
    for key in place.split(".") if place else []:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _planted(node: dict[str, Any], place: list[str], new: Any, path: str) -> Any:
    """A model's node with another one at a place of it."""
    if not place:
        return new
    if not isinstance(node.get(place[0]), dict):
        parts = [name for name, value in node.items() if isinstance(value, dict)]
        raise UsageError(f"{path}: the model {node['kind']} has no part {place[0]!r}; {nearest(place[0], parts)}")
    return {**node, place[0]: _planted(node[place[0]], place[1:], new, path)}


def claim(folder: Path, tree: dict[str, Any]) -> None:
    """Write the recipe into a new folder; refuse one that holds something else."""
    path = folder / "recipe.yaml"
    if path.exists():
        there = {**{name: tree[name] for name in ways.CHOICES}, **_up_to_date(recipe.read_file(path))}
        lines = recipe.difference(_identity(there), _identity(tree))
        if lines:
            raise UsageError(
                f"{folder} holds another run; it differs in {'; '.join(lines)}. Give another --out, or the same recipe."
            )
        return
    ours = {lock.FILE, lock.HOLDER, durable.aside(path).name}
    if folder.is_dir() and any(entry.name not in ours for entry in folder.iterdir()):
        raise UsageError(f"{folder} is not empty and holds no run; give another --out.")
    durable.write(path, recipe.write(tree))


def _up_to_date(tree: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a run with what newer versions also write out, which is by default what older ones did."""
    with suppress(UsageError):  # what is no node of this version differs, and is told so
        roles = [role for role in ("model", "objective") if role in tree]
        return {**tree, **{str(role): schema.complete_node(role, tree[role], role) for role in roles}}
    return tree


def _identity(tree: dict[str, Any]) -> dict[str, Any]:
    """The part of a tree that makes it this run: not the budget, not where the same images lie."""
    kept = {key: value for key, value in tree.items() if key not in BUDGET_KEYS | {"about"}}
    return {**kept, "data": {key: value for key, value in tree.get("data", {}).items() if key != "where"}}


@contextmanager
def opened(
    wishes: Wishes,
    folder: Path | None,
    device: str,
    screen: Screen,
    settle: ways.Settle = ways.unmeasured,
    shard: bool = False,
) -> Iterator[Run]:
    """The run of `folder` (default: runs/MODEL-DATA), built and brought to its newest checkpoint.

    `settle` chooses how it computes, where its recipe leaves that open and no run has begun. With `shard` each process
    keeps its part of moments and averages; raises a `UsageError` where there is one alone.
    """
    recipe.about(wishes.model)
    where, leads, crew = devices.pick(device), ranks.leads(), ranks.crew_for(shard)
    with ranks.in_turn():  # the first may fetch what the others then find
        tree, splits = tree_of(wishes, screen)
    folder = folder or Path("runs") / f"{wishes.model}-{splits.name}"
    with (
        lock.held(folder) if leads else nullcontext(),
        devices.threads_for(splits.train.image_shape[1:], where),
        ranks.divided(tree["batch"], pieces=tree["pieces"]),
    ):
        with ranks.in_turn():
            tree = settle(with_models_of(tree, folder), splits, where, folder)
            run = build(folder, tree, splits, where, screen)  # what cannot be built claims no folder
            if leads:
                claim(folder, tree)
                store.tidy(folder)
            run.cast = run.cast.shard(crew)
            resume(run)
            if run.state.steps:
                screen.say(f"Resuming {folder} after {run.state.seen:,} images.")
        ranks.compare(lambda: _facts(run))
        ranks.gathered(run.cast.model, run.cast.objective)
        yield run


def _facts(run: Run) -> dict[str, str]:
    """In what all processes of a run must agree before its first step."""
    data, digest = run.tree["data"], hashlib.blake2b(digest_size=8)
    for name, tensor in run.cast.alike().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return {
        "recipe": hashlib.blake2b(recipe.write(_identity(run.tree)).encode(), digest_size=8).hexdigest(),
        "data (the fingerprint of its files)": str(data["fingerprint"]),
        "number of images seen (the folder of the run is not the same)": str(run.state.seen),
        "start (the digest of all weights)": digest.hexdigest(),
    }


def build(folder: Path, tree: dict[str, Any], splits: Splits, device: torch.device, screen: Screen) -> Run:
    """The objects of a tree, at their first weights: those of the runs that it names, else following from the seed."""
    facts, told, seed = store.facts(tree), store.facts(tree, "objective"), int(tree["seed"])
    chance.reseed(seed, "model")
    model = schema.build("model", tree["model"], facts)
    if not store.checkpoints(folder):
        _start(model, tree["weights"])
        if "text" in model.reads and not any(splits.train.texts):
            screen.warn(
                f"The images have no texts, and so {tree['name']} learns none: give each image one, in metadata.jsonl "
                "or as NAME.txt beside NAME.png."
            )
    model = model.to(device)
    chance.reseed(seed, "objective")
    objective = schema.build("objective", tree["objective"], told).to(device)
    _enough(tree["batch"], model, objective)
    turns = list(objective.turns(model))
    moves = {turn.name: list(turn.moves) for turn in turns}
    optimisers = {
        name: schema.build("optimiser", node, facts)(moves.get(name) or list(model.parameters()))
        for name, node in tree["optimisers"].items()
    }
    ema = Ema(model, **tree["ema"]) if tree["ema"] else None
    watched = tree["stop"]["watch"].partition("/")[0] if tree["stop"] else turns[0].name
    if watched not in moves:
        raise UsageError(f"stop.watch: there is no turn {watched!r}; {nearest(watched, moves)}")
    cast = Cast(model, objective, optimisers, ema)
    for owner in (model, objective) if tree.get("compile") is True else ():
        ways.compile_networks(owner, device)
    stream = Stream(splits.train, seed, tree["batch"], device, **tree["augment"])
    return Run(folder, tree, cast, turns, splits, stream, State(seed), device, screen)


def _start(model: Model, weights: dict[str, str]) -> None:
    """Give parts of a model the weights of runs; raises a `UsageError` where they are for other images."""
    for place, run in weights.items():
        part, there = model.get_submodule(place), store.load(run)
        if part.image_shape != there.image_shape or part.classes != there.classes:
            here, trained = (f"{_sides(one)} and {one.classes} classes" for one in (part, there))
            raise UsageError(
                f"weights.{place}: {run} is for images of {trained}; this run has {here}. Give other data."
            )
        part.load_state_dict(there.state_dict())


def _sides(model: Any) -> str:
    channels, height, width = model.image_shape
    return f"{height}x{width}x{channels}"


def _enough(batch: int, *modules: nn.Module) -> None:
    """Raise a `UsageError` where one image is too few for what compares the images of a batch."""
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    for part in (part for module in modules for part in module.modules()):
        if batch < getattr(part, "least_batch", 2 if isinstance(part, norms) else 1):
            raise UsageError(
                f"batch: {batch} image is too few for {type(part).__name__}, which compares images; give 2 or more."
            )


def resume(run: Run) -> None:
    """Bring a run to its newest whole checkpoint; one that has none stays as it is."""
    checkpoint, complaints = store.newest(run.folder)
    for complaint in complaints:
        run.screen.warn(complaint)
    if checkpoint:
        shown, held, counters = store.read_state(checkpoint)
        run.cast.restore(shown, held)
        run.state = State.of(counters)
        run.cast.ease(run.state.eased)
