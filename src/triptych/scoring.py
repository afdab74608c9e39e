"""A score while training: how far the model's samples are from the training images, and the best weights kept."""

from __future__ import annotations

import time

from triptych import store
from triptych.core import Model
from triptych.evaluation import reference, summarise
from triptych.extractors import extractor
from triptych.metrics import fid
from triptych.metrics.summary import Summary
from triptych.run import Budget, Run
from triptych.sampling import generate
from triptych.training.logbook import Logbook
from triptych.training.monitors import SCORE
from triptych.training.state import State

IMAGES = 1_000  # samples of a score, at seeds 0, 1, ...
TIMES = 8  # scores in a run, where nothing else is asked for
PROBE = 64  # images sampled to find out how long a score would take
SHORT = 0.5  # seconds below which not even that is worth while


class Scorer:
    """A chore: `times` over the budget, evenly, FD-bundled of the shown model against all training images.

    The number goes to the log and the progress line; the weights with the lowest so far to RUN/best.
    Its time is not the run's. A score is left out where all scores together would take more than
    `share` of the time trained so far: a model that samples slowly is scored less often, or not at all.
    """

    def __init__(self, run: Run, logbook: Logbook, budget: Budget, times: int, share: float) -> None:
        self.run, self.logbook, self.budget, self.times, self.share = run, logbook, budget, times, share
        self.latest = ""  # for the progress line
        self.look = extractor("bundled", run.device)
        self._real: Summary | None = None
        self._best = store.best_score(run.folder)
        self._point = self._passed(run.state)
        self._spent, self._cost = 0.0, 0.0

    def __call__(self, state: State) -> None:
        point = self._passed(state)
        if point > self._point:
            self._point = point
            with self.run.cast.whole():
                if self._affordable(state):
                    self.score(state)

    def score(self, state: State) -> float:
        """The distance now; logged, and kept with the weights if it is the lowest."""
        start = time.perf_counter()
        if self._real is None:
            self._real = reference(self.run.splits.train, "train", self.look)
        model = self.run.cast.shown
        made = summarise(generate(model, range(IMAGES), batch=128), self.look, most=0)
        value = fid.frechet(self._real.moments, made.moments)
        self.logbook.line(state, {SCORE: value})
        self.latest = f"FD-bundled {value:.3g}"
        if self._best is None or value < self._best:
            self._best = value
            self._keep(model, state, value)
        self._cost = time.perf_counter() - start
        self._spent += self._cost
        return value

    def _keep(self, model: Model, state: State, value: float) -> None:
        score = {"metric": "FD-bundled", "value": value, "images": IMAGES, "seen": state.seen}
        store.save_best(self.run.folder, state.seen, self.run.tree, model.state_dict(), score)

    def _passed(self, state: State) -> int:
        """How many of the points in the budget lie behind."""
        return int(self.times * self.budget.share(state) + 1e-9)

    def _affordable(self, state: State) -> bool:
        left = self.share * state.seconds - self._spent
        if left < SHORT:
            return False
        if not self._cost:
            start = time.perf_counter()
            for _ in generate(self.run.cast.shown, range(PROBE)):
                pass
            self._cost = (time.perf_counter() - start) * IMAGES / PROBE
        return self._cost <= left
