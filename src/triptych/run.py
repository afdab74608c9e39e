"""A run: recipe and data made into objects, a folder, and the loop with its chores.

The only place where everything meets. What is trained follows from the tree that is written to
`recipe.yaml`; a folder that holds another tree is refused, so nothing is overwritten by mistake.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from filelock import FileLock, Timeout

from triptych import chance, devices, recipe, schema, store
from triptych.core import Turn
from triptych.data import Splits, Stream, open_data
from triptych.errors import NumericsError, ResourceError, UsageError
from triptych.sampling import generate
from triptych.pixels import grid, write_png
from triptych.quantities import clock, count, seconds
from triptych.screen import Line, Screen
from triptych.training.ema import Ema
from triptych.training.holdout import Holdout
from triptych.training.interrupt import Stopped, Wish, listening
from triptych.training.logbook import Logbook
from triptych.training.loop import train
from triptych.training.state import Cast, State

SHOWN = 64  # images of a grid, at seeds 0 to 63
BUDGET_KEYS = {"images"}  # may differ between two starts of one run


class Budget(NamedTuple):
    """When a run has done enough: so many images, so much time, or the recipe's images."""

    images: int | None
    seconds: float | None

    @classmethod
    def of(cls, images: int | str | None, span: float | str | None) -> Self:
        return cls(
            None if images is None else count(images, "--images"), None if span is None else seconds(span, "--for")
        )

    def or_else(self, images: int) -> Budget:
        """This budget, or `images` where it says nothing."""
        return self if self.images or self.seconds else Budget(images, None)

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
    name = Path(wishes.data).stem
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


def claim(folder: Path, tree: dict[str, Any]) -> None:
    """Write the recipe into a new folder; refuse one that holds something else."""
    path = folder / "recipe.yaml"
    if path.exists():
        there = recipe.read_file(path)
        lines = recipe.difference(_identity(there), _identity(tree))
        if lines:
            raise UsageError(
                f"{folder} holds another run; it differs in {'; '.join(lines)}. Give another --out, or the same recipe."
            )
        return
    if folder.is_dir() and any(entry.name != ".lock" for entry in folder.iterdir()):
        raise UsageError(f"{folder} is not empty and holds no run; give another --out.")
    path.write_text(recipe.write(tree), encoding="utf-8")


def _identity(tree: dict[str, Any]) -> dict[str, Any]:
    """The part of a tree that makes it this run: not the budget, not where the same images lie."""
    kept = {key: value for key, value in tree.items() if key not in BUDGET_KEYS | {"about"}}
    return {**kept, "data": {key: value for key, value in tree.get("data", {}).items() if key != "where"}}


@contextmanager
def opened(wishes: Wishes, folder: Path | None, device: str, screen: Screen) -> Iterator[Run]:
    """The run of `folder` (default: runs/MODEL-DATA), built and brought to its newest checkpoint."""
    recipe.about(wishes.model)
    where = devices.pick(device)
    tree, splits = tree_of(wishes, screen)
    folder = folder or Path("runs") / f"{wishes.model}-{splits.name}"
    with _locked(folder):
        claim(folder, tree)
        store.tidy(folder)
        run = build(folder, tree, splits, where, screen)
        _resume(run)
        yield run


def build(folder: Path, tree: dict[str, Any], splits: Splits, device: torch.device, screen: Screen) -> Run:
    """The objects of a tree, at their first weights, which follow from the seed alone."""
    facts, seed = store.facts(tree), int(tree["seed"])
    chance.reseed(seed, "model")
    model = schema.build("model", tree["model"], facts).to(device)
    chance.reseed(seed, "objective")
    objective = schema.build("objective", tree["objective"], facts).to(device)
    turns = list(objective.turns(model))
    moves = {turn.name: list(turn.moves) for turn in turns}
    optimisers = {
        name: schema.build("optimiser", node, facts)(moves.get(name) or list(model.parameters()))
        for name, node in tree["optimisers"].items()
    }
    ema = Ema(model, **tree["ema"]) if tree["ema"] else None
    cast = Cast(model, objective, optimisers, ema)
    stream = Stream(splits.train, seed, tree["batch"], device, **tree["augment"])
    return Run(folder, tree, cast, turns, splits, stream, State(seed), device, screen)


def _resume(run: Run) -> None:
    checkpoint, complaints = store.newest(run.folder)
    for complaint in complaints:
        run.screen.warn(complaint)
    if checkpoint:
        shown, held, counters = store.read_state(checkpoint)
        run.cast.restore(shown, held)
        run.state = State(**counters)
        run.screen.say(f"Resuming {run.folder} after {run.state.seen:,} images.")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process; the lock goes with the process, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(f"Another process is training in {folder}; wait for it, or give another --out.") from error
    except OSError as error:
        raise ResourceError(f"{folder} cannot be written to ({error}); give another --out.") from error
    try:
        yield
    finally:
        lock.release()


class Chores:
    """What is done beside training: the progress line, grids of samples, checkpoints."""

    def __init__(self, run: Run, logbook: Logbook, show_every: float, save_every: float) -> None:
        self.run, self.logbook = run, logbook
        self.grid: Path | None = None
        self.checkpoint: Path | None = None
        self._show_every, self._save_every = show_every, save_every
        self._shown = self._saved = run.state.seconds
        self._drawn = 0.0
        self._rate = (time.perf_counter(), run.state.seen, 0.0)

    def __call__(self, state: State) -> None:
        if state.seconds - self._shown >= self._show_every:
            self.show(state)
        if state.seconds - self._saved >= self._save_every:
            self.save(state)

    def show(self, state: State) -> None:
        """A grid at fixed seeds from the shown model; drawn less often where drawing is slow."""
        start = time.perf_counter()
        images = torch.cat([batch.images for batch in generate(self.run.cast.shown, range(SHOWN))])
        self.grid = write_png(grid(images, 8), self.run.folder / "samples" / f"{state.seen:012d}.png")
        self._show_every = max(self._show_every, 10 * (time.perf_counter() - start))
        self._shown = state.seconds

    def save(self, state: State) -> None:
        """A checkpoint; weights that are not finite are never written."""
        if not self.run.cast.finite():
            raise NumericsError(
                f"A weight is no longer a finite number after {state.seen} images; the last checkpoint is good. "
                "Lower the learning rate or clip the gradients (--set optimisers.NAME.clip=1)."
            )
        self.logbook.park(state)
        tensors = {"model": self.run.cast.shown.state_dict(), "state": self.run.cast.tensors()}
        self.checkpoint = store.save(self.run.folder, state.seen, self.run.tree, tensors, state.as_dict())
        self._saved = state.seconds

    def report_to(self, line: Line, budget: Budget) -> Callable[[State], None]:
        """The chore of the progress line: images seen, images/s, the loss of each turn."""

        def chore(state: State) -> None:
            now = time.perf_counter()
            then, seen, _ = self._rate
            if now - self._drawn < 0.25:
                return
            self._drawn = now
            if now - then > 2:
                self._rate = (now, state.seen, (state.seen - seen) / (now - then))
            rate = self._rate[2] or (state.seen - seen) / max(now - then, 1e-9)
            losses = [f"{k.removesuffix('/loss')} {v:.3g}" for k, v in self.logbook.latest.items() if k.endswith("/loss")]
            text = " · ".join([f"{state.seen:,} images", f"{rate:,.0f}/s", *losses])
            line(state.seconds if budget.seconds else state.seen, text)

        return chore


def play(run: Run, budget: Budget, show_every: float, save_every: float, writers: tuple[Any, ...] = ()) -> Chores:
    """Train until the budget is spent or somebody asks to stop; the last state is always saved.

    Raises `Stopped` (exit code 130 or 143) after saving when a signal asked for it.
    """
    state = run.state
    logbook = Logbook(run.folder / "metrics.jsonl", state, writers=writers)
    chores = Chores(run, logbook, show_every, save_every)
    if budget.spent(state):
        run.screen.say(
            f"{run.folder} is finished: {state.seen:,} images in {clock(state.seconds)} of training. "
            "Give a larger --for or --images to go on."
        )
        return chores
    total = budget.seconds or float(budget.images or 0)
    with listening() as wish, run.screen.progress(run.name, total) as line:
        train(
            run.cast,
            run.turns,
            run.stream,
            state,
            lambda state: budget.spent(state) or wish.number is not None,
            [Holdout(run.cast, run.turns, run.splits.validation, run.device, logbook.note), logbook,
             chores.report_to(line, budget), chores],
            logbook.note,
            lambda: devices.autocast(run.device),
        )  # fmt: skip
        chores.save(state)
        chores.show(state)
    _stop_if_asked(run, wish)
    return chores


def _stop_if_asked(run: Run, wish: Wish) -> None:
    if wish.number is not None:
        raise Stopped(
            f"Stopped after {run.state.seen:,} images and saved in {run.folder}; the same line again goes on from there.",
            wish.number,
        )
