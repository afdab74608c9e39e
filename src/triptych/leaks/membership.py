"""Can one tell from the loss whether an image was trained on? The simplest attack, and how far it gets.

An image is called a member where its loss is low (Yeom et al. 2018, arXiv:1709.01604). What counts is
the share of members found at a false-positive rate near zero (Carlini et al. 2022, arXiv:2112.03570):
an attack that is sure of few images harms those few.

Notation: M members, N others; a score is minus a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych import chance, schema, store
from triptych.chance import Draw
from triptych.core import Batch, Model, Objective, Scores, Source, Turn
from triptych.metrics.estimate import Estimate
from triptych.pixels import to_float

MOST = 1_000  # images of each side
TOGETHER = 64
DRAWS = 8  # of noise, averaged for each image
RESAMPLES = 1_000
LOW_RATES = (0.001, 0.01)
Loss = Callable[[Batch], Tensor]  # images in [-1, 1], in main memory -> (B,)
Floats = NDArray[np.float64]
Measure = Callable[[Floats, Floats], float]


class Membership(NamedTuple):
    """How well the loss tells training images from held-out ones; a coin has an AUC of 0.5."""

    loss: str  # which one
    members: int
    others: int
    auc: Estimate
    at_rates: dict[str, Estimate]  # "0.001": the share of members found at this false-positive rate


def membership(name: str, loss: Loss, train: Source, validation: Source, most: int = MOST) -> Membership:
    """The attack on up to `most` images of each side, with 95% bootstrap intervals."""
    members, others = (_scores(loss, source, most) for source in (train, validation))
    draw = np.random.default_rng(0)
    again = [(draw.choice(members, len(members)), draw.choice(others, len(others))) for _ in range(RESAMPLES)]
    rates = {f"{rate:g}": _estimate(partial(found_at, rate=rate), members, others, again) for rate in LOW_RATES}
    return Membership(name, len(members), len(others), _estimate(auc, members, others, again), rates)


def auc(members: Floats, others: Floats) -> float:
    """The chance that a member (M,) scores above another image (N,), ties counted half."""
    order = np.sort(others)
    below, not_above = np.searchsorted(order, members, "left"), np.searchsorted(order, members, "right")
    return float((below + not_above).mean() / (2 * len(others)))


def found_at(members: Floats, others: Floats, rate: float) -> float:
    """The share of members (M,) above a threshold that at most a share `rate` of the others (N,) is above."""
    allowed = int(rate * len(others) + 1e-9)
    return float((members > np.sort(others)[::-1][min(allowed, len(others) - 1)]).mean())


def loss_of(model: Model, run: str | Path | None = None) -> tuple[str, Loss] | None:
    """A loss for each image, with its name: minus the model's likelihood, else its training loss.

    The training loss needs the run's folder, whose checkpoint holds the objective; without either, None.
    """
    if isinstance(model, Scores):
        return "minus the log-likelihood", partial(_unlikely, model)
    checkpoint = None if run is None else store.locate(run)
    if checkpoint is None or not (checkpoint / "state.safetensors").is_file():
        return None
    turn, seen = _first_turn(model, checkpoint)

    def loss(batch: Batch) -> Tensor:
        batch = _placed(batch, model)
        total = torch.zeros(len(batch.images), device=batch.images.device)
        for number in range(DRAWS):
            chance.reseed("membership", number)
            total += turn.loss(batch, seen)[0].detach().float()
        return total / DRAWS

    return f"the training loss of the turn {turn.name!r}, a mean over {DRAWS} draws of its noise", loss


def _placed(batch: Batch, model: Any) -> Batch:
    """A batch where the model is."""
    device = next(model.parameters()).device
    return Batch(batch.images.to(device), {name: value.to(device) for name, value in batch.given.items()})


def _unlikely(model: Scores, batch: Batch) -> Tensor:
    batch = _placed(batch, model)
    draw = Draw(range(len(batch.images)), batch.images.device)
    return -model.log_likelihood(batch.images, draw, batch.given).nats


def _first_turn(model: Model, checkpoint: Path) -> tuple[Turn, int]:
    """The first turn that is on, which sees the training images, with the objective of the checkpoint; images seen."""
    store.verify(checkpoint, store.FOR_TRAINING)
    _, held, counters = store.read_state(checkpoint)
    objective: Objective = schema.build("objective", model.recipe["objective"], store.facts(model.recipe, "objective"))
    prefix = "objective/"
    objective.load_state_dict({name[len(prefix) :]: t for name, t in held.items() if name.startswith(prefix)})
    objective.to(next(model.parameters()).device).eval()
    seen = int(counters["seen"])
    return next(turn for turn in objective.turns(model) if turn.on(seen)), seen


def _scores(loss: Loss, source: Source, most: int) -> Floats:
    """Minus the loss of up to `most` images of a source, evenly drawn."""
    rows = torch.randperm(len(source), generator=chance.generator("membership", len(source)))[:most]
    parts = []
    with torch.no_grad():
        for part in torch.split(rows, TOGETHER):
            images, given = source.read(part.tolist())
            parts.append(-loss(Batch(to_float(images), given)).double().cpu())
    return torch.cat(parts).numpy()


def _estimate(measure: Measure, members: Floats, others: Floats, again: Sequence[tuple[Floats, Floats]]) -> Estimate:
    values = [measure(*pair) for pair in again]
    low, high = np.quantile(values, (0.025, 0.975))
    return Estimate(measure(members, others), float(low), float(high))
