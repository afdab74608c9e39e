"""How probable a model finds each image of a source."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.core import Given, Likelihood, Model, Scores, ScoresBy, Source
from triptych.errors import NumericsError, UsageError, nearest
from triptych.insight.asking import Progress, able, over


class Scored(NamedTuple):
    """Log-likelihoods of N images."""

    nats: Tensor  # (N,) float64
    bits: Tensor  # (N,) float64, bits/dim
    bound: bool  # True where the nats are lower bounds, and the bits upper bounds
    samples: int | None  # weighted draws behind each bound; None where the model draws none
    by: str = ""  # what was computed, in words, where the model knows several ways


def scorer(model: Model) -> Scores:
    """The model itself, or a `UsageError` that names those which score."""
    if isinstance(model, Scores):
        return model
    raise UsageError(f"This model does not score images; {able('score')}.")


def samples_of(model: Model, samples: int | None = None, by: str | None = None) -> int | None:
    """How many draws a score of this model takes: as many as wished, else its own number, None where it draws none.

    Raises a `UsageError` where some are wished of a model that draws none, or fewer than 1, and where it does not
    score `by` this way.
    """
    known = inspect.signature(scorer(model).log_likelihood).parameters
    ways = model.ways if isinstance(model, ScoresBy) else {}
    if by is not None and by not in ways:
        cure = nearest(by, ways) if ways else "this model scores in one way only; leave it out."
        raise UsageError(f"--by is {by!r}: {cure}")
    if samples is not None and "samples" not in known:
        raise UsageError("--samples is for models whose likelihood is a bound from draws; this one's is not.")
    if samples is not None and samples < 1:
        raise UsageError(f"The bound was asked for with {samples} samples; it takes 1 or more.")
    if ways:
        return samples or ways[by or next(iter(ways))]
    return samples or (known["samples"].default if "samples" in known else None)


def log_likelihoods(
    model: Model, source: Source, seed: int = 0, samples: int | None = None, batch: int = 64,
    progress: Progress = lambda done: None, by: str | None = None,
) -> Scored:  # fmt: skip
    """The log-likelihood of each image; image i is scored with the noise of seed + i, whatever the batch.

    `by` is one of the model's ways, where it has several. Raises a `UsageError` for a model that does not score and as
    `samples_of` does, a `NumericsError` where a likelihood is no finite number.
    """
    number = samples_of(model, samples, by)
    how: dict[str, Any] = {} if number is None else {"samples": number}
    how |= {} if by is None else {"by": by}
    score = scorer(model).log_likelihood

    def scored(x: Tensor, given: Given, part: Sequence[int]) -> Likelihood:
        return score(x, Draw([seed + row for row in part], x.device), given, **how)

    parts = list(over(model, source, scored, batch, progress))
    nats = torch.cat([part.nats.double().cpu() for part in parts])
    if not nats.isfinite().all():
        name = source.names[int((~nats.isfinite()).nonzero()[0, 0])]
        raise NumericsError(f"The likelihood of {name} is no finite number; use an earlier checkpoint of the run.")
    bound = any(part.bound for part in parts)
    return Scored(nats, Likelihood(nats, bound).bits_per_dim(model.image_shape), bound, number, parts[0].by)
