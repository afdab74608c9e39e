"""95% intervals by resampling rows (Efron 1979), the same ones each time.

A metric that is no mean of rows, such as a Frechet distance, is nearly one: its value moves with each
row by that row's influence (the first-order term of von Mises 1947; for U-statistics Hajek's
projection). Resampling the influences gives the spread without recomputing the metric, and free of the
bias that resampled rows, of which a third are missing, would add to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from triptych.metrics.estimate import Estimate

ROUNDS, TOGETHER = 1000, 50
ENDS = (0.025, 0.975)
SEED = 0


def interval_of_mean(values: Tensor) -> Estimate:
    """The mean of one value for each row (N,), with its interval."""
    rows = values.double().cpu().numpy()
    low, high = _ends(rows)
    return Estimate(float(rows.mean()), low, high)


def interval_around(value: float, influence: Tensor, n: int | None = None) -> Estimate:
    """A value with the spread that rows of these influences (K,), known but for a constant, give it.

    `n` is the number of rows behind the value, where that is more than the K whose influence is known.
    """
    rows = influence.double().cpu().numpy()
    rows = rows - rows.mean()
    shrink = (len(rows) / (n or len(rows))) ** 0.5
    low, high = _ends(rows)
    return Estimate(value, value + shrink * low, value + shrink * high)


def _ends(rows: NDArray[np.float64]) -> tuple[float, float]:
    """Where the central 95% of resampled means lie."""
    chance, n = np.random.default_rng(SEED), len(rows)
    means = [rows[chance.integers(n, size=(TOGETHER, n))].mean(1) for _ in range(ROUNDS // TOGETHER)]
    low, high = np.quantile(np.concatenate(means), ENDS, method="inverted_cdf")
    return float(low), float(high)
