"""Playing a run: the loop with its chores, the progress line, grids of samples and checkpoints."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from triptych import devices, ranks, store
from triptych.core import Stats
from triptych.errors import NumericsError
from triptych.pixels import grid, write_png
from triptych.quantities import clock
from triptych.rescue import rescue
from triptych.run import Budget, Run
from triptych.sampling import generate
from triptych.scoring import TIMES, Scorer
from triptych.screen import Line
from triptych.training.holdout import Holdout, tired
from triptych.training.interrupt import Stopped, Wish, listening
from triptych.training.logbook import Logbook, read
from triptych.training.loop import Chore, train
from triptych.training.monitors import Monitor
from triptych.training.state import State
from triptych.ways import region

SHOWN = 64  # images of a grid, at seeds 0 to 63
UNASKED = 0.2  # the share of the training time that scores take where nobody asked for them


class Habits(NamedTuple):
    """How often a run does what is not training."""

    show_every: float = 60.0  # seconds of training between grids of samples
    save_every: float = 300.0  # and between checkpoints
    scores: int | None = None  # over the whole budget; None: as many as take little time
    on_divergence: str = "stop"  # or "rollback"


class Made(NamedTuple):
    """The last files of a run in this start."""

    checkpoint: Path | None = None
    grid: Path | None = None


class Chores:
    """What is done beside training: the progress line, grids of samples, checkpoints."""

    def __init__(self, run: Run, logbook: Logbook, show_every: float, save_every: float) -> None:
        self.run, self.logbook = run, logbook
        self.grid: Path | None = None
        self.checkpoint: Path | None = None
        self._show_every, self._save_every = show_every, save_every
        self._shown = self._saved = run.state.seconds
        self._drawn = 0.0
        self.wish = Wish()
        self._real = run.splits.validation.read(range(min(SHOWN, len(run.splits.validation)))).images
        self._rate = (time.perf_counter(), run.state.seen, 0.0)

    @property
    def made(self) -> Made:
        return Made(self.checkpoint, self.grid)

    def __call__(self, state: State) -> None:
        if state.seconds - self._shown >= self._show_every:
            with self.wish.dispensable():
                self.show(state)
        if state.seconds - self._saved >= self._save_every:
            self.save(state)

    def show(self, state: State) -> None:
        """A grid at fixed seeds from the shown model; drawn less often where drawing is slow."""
        start = time.perf_counter()
        with self.run.cast.whole():
            images = torch.cat([batch.images for batch in generate(self.run.cast.shown, range(SHOWN))])
            self.logbook.line(state, {"samples/variety": variety(images, self._real), **self._lag()})
        self.grid = write_png(grid(images, 8), self.run.folder / "samples" / f"{state.seen:012d}.png")
        self._show_every = max(self._show_every, 10 * (time.perf_counter() - start))
        self._shown = state.seconds

    def _lag(self) -> dict[str, float]:
        """How far the averaged weights are from those that are trained, for a model that has an average."""
        ema = self.run.cast.ema
        return {"average/lag": ema.lag()} if ema else {}

    def save(self, state: State) -> None:
        """A checkpoint; numbers that are not finite, of weights or optimisers, are never written."""
        with self.run.cast.whole(moments=True):
            if wrong := self.run.cast.not_finite():
                raise NumericsError(f"{wrong} is no longer a finite number after {state.seen:,} images.")
            self.logbook.park(state)
            self.logbook.flush()
            tensors = {"model": self.run.cast.shown.state_dict(), "state": self.run.cast.tensors()}
            self.checkpoint = store.save(self.run.folder, state.seen, self.run.tree, tensors, state.as_dict())
        self._saved = state.seconds

    def report_to(self, line: Line, budget: Budget, scorer: Scorer | None) -> Callable[[State], None]:
        """The chore of the progress line: images seen, images/s, the loss of each turn, the score."""

        def chore(state: State) -> None:
            now = time.perf_counter()
            then, seen, _ = self._rate
            if now - self._drawn < 0.25 and not budget.spent(state):  # the last is always drawn
                return
            self._drawn = now
            if now - then > 2:
                self._rate = (now, state.seen, (state.seen - seen) / (now - then))
            rate = self._rate[2] or (state.seen - seen) / max(now - then, 1e-9)
            latest = self.logbook.latest.items()
            losses = [f"{name.removesuffix('/loss')} {value:.3g}" for name, value in latest if name.endswith("/loss")]
            score = [scorer.latest] if scorer and scorer.latest else []
            text = " · ".join([f"{state.seen:,} images", f"{rate:,.0f}/s", *losses, *score])
            line(state.seconds if budget.seconds else state.seen, text)

        return chore


def variety(made: Tensor, real: Tensor) -> float:
    """How much images differ from each other, as a share of how much real ones do; of each (N, C, H, W) uint8.

    The mean over all values of the standard deviation over the images: 1 is as varied as real, 0 is one
    and the same image, the plainest sign of a collapse.
    """
    spreads = [images.float().std(0, correction=0).mean().item() for images in (made, real)]
    return spreads[0] / max(spreads[1], 1e-6)


def play(run: Run, budget: Budget, habits: Habits = Habits(), writers: tuple[Any, ...] = ()) -> Made:  # noqa: B008
    """Train until the budget is spent or somebody asks to stop; the last state is always saved.

    Raises `Stopped` (exit code 130 or 143) after saving when a signal asked for it.
    """
    if not ranks.leads():
        return follow(run, budget, habits.on_divergence)
    state = run.state
    logbook = Logbook(run.folder / "metrics.jsonl", state, writers=writers)
    chores = Chores(run, logbook, habits.show_every, habits.save_every)
    stop = _stop(run)
    if tired(state, stop["patience"]):
        run.screen.say(f"{run.folder} is finished: {_tired(run)}")
        return chores.made
    if budget.spent(state):
        run.screen.say(
            f"{run.folder} is finished: {state.seen:,} images in {clock(state.seconds)} of training. "
            "Give a larger --for or --images to go on."
        )
        return chores.made
    scorer = None if habits.scores == 0 else _scorer(run, logbook, budget, habits.scores)
    total = budget.seconds or float(budget.images or 0)
    with listening() as wish, run.screen.progress(run.name, total) as line:
        chores.wish = wish
        monitor = Monitor(lambda: read(logbook.path), run.screen.warn)
        if habits.on_divergence == "rollback" and not store.checkpoints(run.folder):
            with ranks.aside():
                chores.save(state)  # to have somewhere to go back to
        holdout = Holdout(run.cast, run.turns, run.splits.validation, run.device, logbook.note, stop["watch"])
        scoring = [_dispensable(scorer, wish)] if scorer else []
        beside: list[Chore] = [holdout, logbook, *scoring, monitor, chores.report_to(line, budget, scorer), chores]
        asked = _train(run, budget, wish, [_aside(beside)], logbook, habits.on_divergence)
        with ranks.aside():
            chores.save(run.state)
            if not asked:  # nobody waits for a picture
                with wish.dispensable():
                    chores.show(run.state)
    ranks.most(0)
    if asked:
        raise Stopped(
            f"Stopped after {run.state.seen:,} images and saved in {run.folder}; the same line again goes on.", asked
        )
    if tired(run.state, stop["patience"]):
        run.screen.say(f"Stopped early: {_tired(run)}")
    return chores.made


def follow(run: Run, budget: Budget, on_divergence: str) -> Made:
    """The part of a process that does not lead: the same steps, and nothing beside them."""
    if tired(run.state, _stop(run)["patience"]) or budget.spent(run.state):
        return Made()
    with listening() as wish:
        asked = _train(run, budget, wish, [], None, on_divergence)
        ranks.most(0)  # while the first one saves
    if asked:
        raise Stopped("", asked)
    return Made()


def _train(
    run: Run, budget: Budget, wish: Wish, chores: Sequence[Chore], logbook: Logbook | None, on_divergence: str
) -> int:
    """Train until one process's budget is spent or somebody asks one to stop: the signal's number, 0 for none."""
    patience = _stop(run)["patience"]

    def over(state: State) -> bool:
        return ranks.most(budget.spent(state) or wish.number is not None or tired(state, patience)) > 0

    note: Callable[[str, Stats], None] = logbook.note if logbook else lambda turn, stats: None
    while True:
        try:
            train(run.cast, run.turns, run.stream, run.state, over, chores, note, lambda: region(run.tree, run.device))
            return ranks.most(wish.number or 0)
        except NumericsError as error:
            rescue(run, error, on_divergence)
        if logbook:
            logbook.open_at(run.state)


def _aside(chores: Sequence[Chore]) -> Chore:
    """Chores as one, done while the other processes wait."""

    def chore(state: State) -> None:
        with ranks.aside(), devices.eagerly():
            for one in chores:
                one(state)

    return chore


def _stop(run: Run) -> dict[str, Any]:
    """When the recipe stops early: never, where it does not say."""
    return run.tree["stop"] or {"watch": "", "patience": sys.maxsize}


def _dispensable(chore: Chore, wish: Wish) -> Chore:
    """A chore that is given up when somebody asks to stop."""

    def given_up_in_time(state: State) -> None:
        with wish.dispensable():
            chore(state)

    return given_up_in_time


def _tired(run: Run) -> str:
    """Why a run stopped before its budget was spent."""
    stop, state = run.tree["stop"], run.state
    return (
        f"{stop['watch']} on held-out images has not fallen for {stop['patience']:,} images, and was lowest "
        f"after {state.best_seen:,}. Training on would learn by heart; --set stop=null goes on all the same."
    )


def _scorer(run: Run, logbook: Logbook, budget: Budget, scores: int | None) -> Scorer:
    """Scores that were asked for may take as long as training; others may not be felt."""
    return Scorer(run, logbook, budget, scores or TIMES, UNASKED if scores is None else 1.0)
