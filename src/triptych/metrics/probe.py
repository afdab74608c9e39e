"""How much of the class can be read out of features, by a linear map and by neighbours.

Notation: N training rows, M test rows, D features.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from triptych.errors import DataError
from triptych.metrics.bootstrap import interval_of_mean
from triptych.metrics.estimate import Estimate

NEIGHBOURS = 5


def linear_probe(features: Tensor, labels: Tensor, test_features: Tensor, test_labels: Tensor) -> Estimate:
    """The share of test rows (M, D) that `linear_guesses` puts into the right class; raises as it does."""
    return interval_of_mean((linear_guesses(features, labels, test_features) == test_labels).double())


def linear_guesses(features: Tensor, labels: Tensor, test_features: Tensor) -> Tensor:
    """The classes (M,) of test rows by multinomial logistic regression on rows (N, D) with labels (N,).

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
    return torch.from_numpy(probe.predict(test_features.flatten(1).double().numpy()))


def neighbour_guesses(features: Tensor, labels: Tensor, test_features: Tensor) -> Tensor:
    """The commonest class (M,) among the `NEIGHBOURS` training rows that are nearest to each test row.

    Euclidean, features as they are (Cover and Hart 1967); of classes as common the first. Raises a `DataError`
    for fewer training rows.
    """
    if len(features) < NEIGHBOURS:
        raise DataError(f"{NEIGHBOURS} neighbours need as many training images, there are {len(features)}: add images.")
    from sklearn.neighbors import KNeighborsClassifier

    vote = KNeighborsClassifier(NEIGHBOURS).fit(features.flatten(1).numpy(), labels.numpy())
    return torch.from_numpy(vote.predict(test_features.flatten(1).numpy()))


def principal(features: Tensor, test_features: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Training and test rows as their `count` first principal components, found on the training rows alone.

    There are no more of them than training rows or features.
    """
    from sklearn.decomposition import PCA

    rows, tested = (x.flatten(1).double().numpy() for x in (features, test_features))
    pca = PCA(min(count, *rows.shape), random_state=0).fit(rows)
    return torch.from_numpy(pca.transform(rows)), torch.from_numpy(pca.transform(tested))
