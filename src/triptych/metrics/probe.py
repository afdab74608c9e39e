"""How much of the class a linear map reads out of features."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from triptych.errors import DataError
from triptych.metrics.bootstrap import interval_of_mean
from triptych.metrics.estimate import Estimate


def linear_probe(features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor) -> Estimate:
    """The share of test rows (M, D) that multinomial logistic regression on rows (N, D) puts into the right class.

    Features are standardised by the training rows; the penalty is scikit-learn's own, |w|^2 / 2 beside the
    sum of the losses (Alain and Bengio 2016, arXiv:1610.01644). Raises a `DataError` for a single class.
    """
    if bool((labels == labels[0]).all()):
        raise DataError("A linear probe needs labels of at least two classes: give a folder for each class.")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 300 steps are near enough: the penalty is strict
        probe.fit(features.flatten(1).double().numpy(), labels.numpy())
    guesses = torch.from_numpy(probe.predict(test_features.flatten(1).double().numpy()))
    return interval_of_mean((guesses == test_labels).double())
