"""The games against values by hand, and the best critic against what theory says it reaches."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from triptych.gan.games import (
    Game,
    hinge,
    least_squares,
    minimax,
    non_saturating,
    relativistic,
    relativistic_average,
    wasserstein,
)
from truths.critics import NODES, WEIGHTS, best_logit, log_density, value

REAL, FAKE = (0.7, -1.2, 3.0), (-0.4, 0.9, 1.0)


def log_sigmoid(logit: float) -> float:
    return -math.log(1.0 + math.exp(-logit))


def average_real(f: float) -> float:
    return f - sum(REAL) / 3


def average_fake(r: float) -> float:
    return r - sum(FAKE) / 3


BY_HAND: dict[Game, Callable[[float, float], tuple[float, float]]] = {
    minimax: lambda r, f: (-log_sigmoid(r) - log_sigmoid(-f), log_sigmoid(-f)),
    non_saturating: lambda r, f: (-log_sigmoid(r) - log_sigmoid(-f), -log_sigmoid(f)),
    least_squares: lambda r, f: (0.5 * (r - 1) ** 2 + 0.5 * f**2, 0.5 * (f - 1) ** 2),
    hinge: lambda r, f: (max(0, 1 - r) + max(0, 1 + f), -f),
    relativistic: lambda r, f: (-log_sigmoid(r - f), -log_sigmoid(f - r)),
    relativistic_average: lambda r, f: (
        -log_sigmoid(average_fake(r)) - log_sigmoid(-average_real(f)),
        -log_sigmoid(average_real(f)) - log_sigmoid(-average_fake(r)),
    ),
    wasserstein: lambda r, f: (f - r, -f),
}
EACH = pytest.mark.parametrize("game", BY_HAND, ids=lambda game: game.__name__)


@EACH
def test_values_on_fixed_logits(game: Game) -> None:
    critic, generator = game(torch.tensor(REAL, dtype=torch.float64), torch.tensor(FAKE, dtype=torch.float64))
    expected = [BY_HAND[game](r, f) for r, f in zip(REAL, FAKE, strict=True)]
    assert critic.tolist() == pytest.approx([pair[0] for pair in expected], abs=1e-12)
    assert generator.tolist() == pytest.approx([pair[1] for pair in expected], abs=1e-12)


@EACH
def test_gradients_agree_with_differences(game: Game) -> None:
    real = torch.tensor(REAL, dtype=torch.float64, requires_grad=True)
    fake = torch.tensor(FAKE, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r, f: game(r, f)[0], (real, fake))
    assert torch.autograd.gradcheck(lambda r, f: game(r, f)[1], (real, fake))


@EACH
def test_huge_logits_stay_finite(game: Game) -> None:
    huge = torch.tensor([1e4, -1e4])
    assert all(bool(losses.isfinite().all()) for losses in game(huge, -huge))


@EACH
def test_the_players_pull_apart(game: Game) -> None:
    """The critic wants lower logits for generated images, the generator higher ones."""
    real = torch.zeros(1, dtype=torch.float64)
    fake = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    critic, generator = game(real, fake)
    assert torch.autograd.grad(critic.sum(), fake)[0].item() > 0 or game is least_squares  # 0 is its goal
    assert torch.autograd.grad(generator.sum(), fake)[0].item() < 0


@pytest.mark.parametrize("game", [relativistic, relativistic_average, wasserstein], ids=lambda game: game.__name__)
def test_only_differences_count(game: Game) -> None:
    """A critic's offset changes neither its own loss nor what pulls the generator."""
    real, fake = torch.tensor(REAL, dtype=torch.float64), torch.tensor(FAKE, dtype=torch.float64, requires_grad=True)
    here, there = game(real, fake), game(real + 5, fake + 5)
    torch.testing.assert_close(here[0], there[0], atol=1e-12, rtol=0)
    slopes = [torch.autograd.grad(losses.sum(), fake)[0] for losses in (here[1], there[1])]
    torch.testing.assert_close(*slopes, atol=1e-12, rtol=0)


def test_best_critic_of_two_normals() -> None:
    a, b, s = 1.5, 0.0, 1.0
    linear = lambda x: (a - b) * x / s**2 - (a**2 - b**2) / (2 * s**2)  # noqa: E731
    assert value(linear, (a, s), (b, s)) == pytest.approx(-0.9439527, abs=5e-8)
    assert value(best_logit((a, s), (b, s)), (a, s), (b, s)) == pytest.approx(value(linear, (a, s), (b, s)), abs=1e-12)


def test_best_critic_of_equal_and_of_disjoint_data() -> None:
    same = (0.3, 0.8)
    assert value(best_logit(same, same), same, same) == pytest.approx(-2 * math.log(2), abs=1e-12)
    far = (60.0, 0.8)
    assert value(best_logit(same, far), same, far) == pytest.approx(0, abs=1e-12)


def test_best_critic_measures_the_jensen_shannon_divergence() -> None:
    """V(D*) = 2 JSD(p, q) - 2 ln 2 (Goodfellow et al. 2014, equation 6), for unequal deviations too."""
    p, q = (0.4, 1.3), (-0.9, 0.6)

    def to_mixture(one: tuple[float, float]) -> float:
        x = one[0] + one[1] * NODES
        mixture = torch.logaddexp(log_density(x, p), log_density(x, q)) - math.log(2)
        return float(WEIGHTS @ (log_density(x, one) - mixture))

    divergence = (to_mixture(p) + to_mixture(q)) / 2
    assert value(best_logit(p, q), p, q) == pytest.approx(2 * divergence - 2 * math.log(2), abs=1e-10)


@pytest.mark.parametrize("step", [-0.1, 0.1])
def test_no_critic_beats_the_best(step: float) -> None:
    p, q = (1.5, 1.0), (0.0, 1.0)
    best = best_logit(p, q)
    assert value(lambda x: best(x) + step * torch.sin(x), p, q) < value(best, p, q)
