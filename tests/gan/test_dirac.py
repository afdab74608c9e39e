"""The Dirac-GAN of Mescheder et al. 2018, played through our own turns: one weight against one slope.

Data at 0, the generator's one image is its weight, the critic is linear. Both forms of the game have
eigenvalues +-i/2 at the equilibrium (0, 0), so without a penalty none converges at a linear rate.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from triptych.core import NOTHING, Batch, Given, Model, Turn
from triptych.gan.games import Game, minimax, non_saturating
from triptych.gan.objective import Adversarial

STEP = 0.1
DATA = Batch(torch.zeros(2, 1, 1, 1, dtype=torch.float64))
GAMES = pytest.mark.parametrize("game", [minimax, non_saturating], ids=lambda game: game.__name__)


class Weight(Model):
    """Every latent becomes the same image of one pixel."""

    image_shape, latent_shape, classes = (1, 1, 1), (1,), 0

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        return self.weight.expand(len(z), 1, 1, 1)

    def sample(self, draw: object, given: Given = NOTHING) -> Tensor:
        raise NotImplementedError


class Slope(nn.Module):
    """logit = slope x."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x.flatten()


def gradient(turn: Turn) -> Tensor:
    losses, _ = turn.loss(DATA, 0)
    return torch.autograd.grad(losses.mean(), turn.moves[0])[0]


def radii(game: Game, start: float, steps: int, *, alternating: bool) -> list[float]:
    """The distance from the equilibrium after each step of gradient descent."""
    model, critic = Weight(start), Slope(start)
    turns = Adversarial(critic, game).turns(model)
    path = []
    for _ in range(steps):
        if alternating:
            for turn in turns:
                turn.moves[0].data -= STEP * gradient(turn)
        else:
            for turn, slope in [(turn, gradient(turn)) for turn in turns]:
                turn.moves[0].data -= STEP * slope
        path.append(math.hypot(model.weight.item(), critic.slope.item()))
    return path


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
