"""The Inception Score: sure of each image, spread over the classes (Salimans et al. 2016, arXiv:1606.03498)."""

from __future__ import annotations

import math

from torch import Tensor

from triptych.metrics.bootstrap import interval_of_mean
from triptych.metrics.estimate import Estimate


def inception_score(logits: Tensor) -> Estimate:
    """exp of the mean of KL(p(class | image) || p(class)) over all rows (N, L), from 1 to L; no splits.

    One row moves the mean by its own divergence alone, to first order, so these are resampled.
    """
    log_p = logits.double().log_softmax(1)
    log_q = log_p.logsumexp(0) - math.log(len(log_p))
    divergence = (log_p.exp() * (log_p - log_q)).sum(1)
    return Estimate(*map(math.exp, interval_of_mean(divergence)))
