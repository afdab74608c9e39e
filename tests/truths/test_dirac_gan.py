"""The Dirac-GAN: every rate at which its games leave or come home is known, and ours have it."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from triptych.gan.games import Game, minimax, non_saturating, wasserstein
from triptych.gan.penalties import gradient, r1
from truths.dirac import STEP, radii, walk

GAMES = pytest.mark.parametrize("game", [minimax, non_saturating], ids=lambda game: game.__name__)


@GAMES
def test_simultaneous_steps_spiral_out_at_the_known_rate(game: Game) -> None:
    path = radii(game, 1e-5, 200, alternating=False)
    rate = (path[-1] / path[0]) ** (1 / 199)
    assert rate == pytest.approx(math.sqrt(1 + STEP**2 / 4), abs=1e-8)


def test_alternating_steps_of_minimax_stay_on_a_ring() -> None:
    """Neither away nor home: were this to converge, something would damp the game that should not."""
    path = radii(minimax, 1.0, 2000, alternating=True)
    first, last = path[:200], path[-200:]
    assert 1.37 < min(last) < max(last) < 1.42
    assert (min(last), max(last)) == pytest.approx((min(first), max(first)), abs=1e-3)


def test_the_non_saturating_game_comes_home_as_slowly_as_its_flow() -> None:
    """With u = weight x slope, d(r^2)/dt = -2 u tanh(u / 2), -r^4 / 8 a round: 1 / r^2 grows by t / 8."""
    path = radii(non_saturating, 0.5, 2000, alternating=True)
    round_ = round(4 * math.pi / STEP)
    first, last = (sum(1 / r**2 for r in part) / round_ for part in (path[:round_], path[-round_:]))
    assert (last - first) / (STEP * (2000 - round_)) == pytest.approx(1 / 8, rel=0.02)


def rate_of(path: list[tuple[float, float]], step: torch.Tensor) -> tuple[float, float]:
    """The measured factor a step along the first eigenvector of the map `step`, and the predicted one."""
    values, vectors = torch.linalg.eig(step)
    first, last = (
        torch.linalg.solve(vectors, torch.tensor(place, dtype=vectors.dtype))[0].abs().item()
        for place in (path[0], path[-1])
    )
    return (last / first) ** (1 / (len(path) - 1)), values[0].abs().item()


@GAMES
@pytest.mark.parametrize("gamma", [0.1, 0.4])
def test_r1_brings_simultaneous_steps_home_at_the_predicted_rate(game: Game, gamma: float) -> None:
    """Eigenvalues -gamma/2 +- sqrt(gamma^2/4 - 1/4) (Mescheder et al. 2018, section 4.1)."""
    path = walk(game, 1e-5, 200, alternating=False, penalty=r1(gamma))
    flow = torch.tensor([[0.0, 0.5], [-0.5, -gamma]], dtype=torch.float64)  # of (weight, slope)
    measured, predicted = rate_of(path, torch.eye(2, dtype=torch.float64) + STEP * flow)
    assert predicted == pytest.approx(abs(1 + STEP * (-gamma / 2 + cmath.sqrt(gamma**2 / 4 - 1 / 4))), abs=1e-12)
    assert measured == pytest.approx(predicted, abs=1e-8)
    assert gamma != 0.4 or measured == pytest.approx(0.98107, abs=5e-6)


@GAMES
@pytest.mark.parametrize("gamma", [0.1, 0.4])
def test_r1_brings_alternating_steps_home_a_little_faster(game: Game, gamma: float) -> None:
    """One step near the equilibrium is slope <- (1 - h gamma) slope - h/2 weight, weight <- weight + h/2 slope.

    Its determinant is 1 - h gamma and its eigenvalues are a conjugate pair, so the rate is sqrt(1 - h gamma).
    """
    path = walk(game, 1e-5, 200, alternating=True, penalty=r1(gamma))
    keep, half = 1 - STEP * gamma, STEP / 2
    step = torch.tensor([[1 - half**2, half * keep], [-half, keep]], dtype=torch.float64)  # of (weight, slope)
    measured, predicted = rate_of(path, step)
    assert predicted == pytest.approx(math.sqrt(1 - STEP * gamma), abs=1e-12)
    assert measured == pytest.approx(predicted, abs=1e-8)


@GAMES
def test_at_the_critical_penalty_both_eigenvalues_are_one(game: Game) -> None:
    """gamma = 1: the root is gone, both are -1/2, and a step multiplies by 1 - h/2, but for a factor like n."""
    path = radii(game, 1e-5, 500, alternating=False, penalty=r1(1.0))
    ends = [radius / ((1 - STEP / 2) ** n * n) for n, radius in ((250, path[249]), (500, path[499]))]
    assert ends[1] / ends[0] == pytest.approx(1, abs=0.05)
    assert path[-1] < 1e-5 * 2e-9


@GAMES
def test_r1_comes_home_from_afar(game: Game) -> None:
    path = radii(game, 1.0, 800, alternating=True, penalty=r1(0.4))
    assert path[-1] < 1e-6 < 1 < path[0]


def test_simultaneous_wasserstein_steps_spiral_out_exactly() -> None:
    path = radii(wasserstein, 1.0, 1000, alternating=False)
    assert path[-1] == pytest.approx(204.7396, abs=5e-5)
    assert path[-1] == pytest.approx(math.sqrt(2) * (1 + STEP**2) ** 500, rel=1e-12)


def test_alternating_wasserstein_steps_stay_on_an_ellipse() -> None:
    """weight^2 + slope^2 - h weight slope does not change."""
    path = walk(wasserstein, 1.0, 300, alternating=True)
    kept = [weight**2 + slope**2 - STEP * weight * slope for weight, slope in path]
    assert kept == pytest.approx([2 - STEP] * 300, rel=1e-12)


def test_a_gradient_penalty_does_not_come_home() -> None:
    """With finitely many critic steps WGAN-GP need not converge (Mescheder et al. 2018, section 2.2)."""
    path = radii(wasserstein, 1.0, 600, alternating=True, penalty=gradient(1.0))
    assert max(path[-200:]) > 1
