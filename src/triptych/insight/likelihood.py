"""How probable a model finds each image of a source."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.core import Given, Likelihood, Model, Scores, Source
from triptych.errors import NumericsError, UsageError
from triptych.insight.asking import Progress, able, over


class Scored(NamedTuple):
    """Log-likelihoods of N images."""

    nats: Tensor  # (N,) float64
    bits: Tensor  # (N,) float64, bits/dim
    bound: bool  # True where the nats are lower bounds, and the bits upper bounds
    samples: int | None  # weighted draws behind each bound; None where the model draws none


def scorer(model: Model) -> Scores:
    """The model itself, or a `UsageError` that names those which score."""
    if isinstance(model, Scores):
        return model
    raise UsageError(f"This model does not score images; {able('score')}.")


def samples_of(model: Model, samples: int | None = None) -> int | None:
    """How many draws a score of this model takes: as many as wished, else its own number, None where it draws none.

    Raises a `UsageError` where some are wished of a model that draws none, or fewer than 1.
    """
    known = inspect.signature(scorer(model).log_likelihood).parameters
    if samples is not None and "samples" not in known:
        raise UsageError("--samples is for models whose likelihood is a bound from draws; this one's is not.")
    if samples is not None and samples < 1:
        raise UsageError(f"The bound was asked for with {samples} samples; it takes 1 or more.")
    return samples or (known["samples"].default if "samples" in known else None)


def log_likelihoods(
    model: Model, source: Source, seed: int = 0, samples: int | None = None, batch: int = 64,
    progress: Progress = lambda done: None,
) -> Scored:  # fmt: skip
    """The log-likelihood of each image; image i is scored with the noise of seed + i, whatever the batch.

    Raises a `UsageError` for a model that does not score and as `samples_of` does, a `NumericsError` where a
    likelihood is no finite number.
    """
    number = samples_of(model, samples)
    how = {} if number is None else {"samples": number}
    score = scorer(model).log_likelihood

    def scored(x: Tensor, given: Given, part: Sequence[int]) -> Likelihood:
        return score(x, Draw([seed + row for row in part], x.device), given, **how)

    parts = list(over(model, source, scored, batch, progress))
    nats = torch.cat([part.nats.double().cpu() for part in parts])
    if not nats.isfinite().all():
        name = source.names[int((~nats.isfinite()).nonzero()[0, 0])]
        raise NumericsError(f"The likelihood of {name} is no finite number; use an earlier checkpoint of the run.")
    bound = any(part.bound for part in parts)
    return Scored(nats, Likelihood(nats, bound).bits_per_dim(model.image_shape), bound, number)
