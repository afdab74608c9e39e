"""The Dirac-GAN of Mescheder et al. 2018, played through our own turns: one weight against one slope.

Data at 0, the generator's one image is its weight, the critic is linear. Both forms of the game have
eigenvalues +-i/2 at the equilibrium (0, 0), so without a penalty none converges at a linear rate.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from triptych.core import NOTHING, Batch, Given, Model, Turn
from triptych.gan.games import Game
from triptych.gan.objective import Adversarial
from triptych.gan.penalties import Weighed

STEP = 0.1
DATA = Batch(torch.zeros(2, 1, 1, 1, dtype=torch.float64))


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

    def forward(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        return self.slope * x.flatten()


def downhill(turn: Turn) -> Tensor:
    losses, _ = turn.loss(DATA, 0)
    return torch.autograd.grad(losses.mean(), turn.moves[0])[0]


def walk(
    game: Game, start: float, steps: int, *, alternating: bool, penalty: Weighed | None = None
) -> list[tuple[float, float]]:
    """The weight and the slope after each step of gradient descent."""
    model, critic = Weight(start), Slope(start)
    turns = Adversarial(critic, game, penalty).turns(model)
    path = []
    for _ in range(steps):
        if alternating:
            for turn in turns:
                turn.moves[0].data -= STEP * downhill(turn)
        else:
            for turn, slope in [(turn, downhill(turn)) for turn in turns]:
                turn.moves[0].data -= STEP * slope
        path.append((model.weight.item(), critic.slope.item()))
    return path


def radii(game: Game, start: float, steps: int, *, alternating: bool, penalty: Weighed | None = None) -> list[float]:
    """The distance from the equilibrium after each step."""
    return [math.hypot(*place) for place in walk(game, start, steps, alternating=alternating, penalty=penalty)]
