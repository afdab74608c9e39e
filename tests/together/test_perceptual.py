"""The perceptual term: nothing for a perfect codec, and a gradient for the others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Batch, Given, Model
from triptych.errors import UsageError
from triptych.gan.mlp import mlp_gan
from triptych.together.perceptual import Perceptual

SHAPE = (1, 8, 8)


class Dimmer(Model):
    """Decodes images as `light` times themselves; a draw of the posterior is nothing."""

    image_shape = latent_shape = SHAPE
    classes = 0

    def __init__(self, light: float) -> None:
        super().__init__()
        self.light = nn.Parameter(torch.tensor(light))

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        return self.light * z

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        return self.decode(draw.normal(*SHAPE))

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        return x if draw is None else torch.zeros_like(x)


def test_it_is_the_mean_square_of_what_the_features_differ_by() -> None:
    def sight(device: torch.device) -> object:
        return lambda x: 3 * x.flatten(1)

    x = torch.rand(4, *SHAPE)
    (turn,) = Perceptual(2.0, sight, draw=False).turns(Dimmer(0.5))  # type: ignore[arg-type]
    losses, _ = turn.loss(Batch(x), 0)
    torch.testing.assert_close(losses, 2 * (1.5 * x).square().flatten(1).mean(1))
    drawn = Perceptual(2.0, sight).turns(Dimmer(0.5))[0].loss(Batch(x), 0)[0]  # type: ignore[arg-type]
    torch.testing.assert_close(drawn, 2 * (3 * x).square().flatten(1).mean(1))


def test_the_bundled_network_sees_the_difference() -> None:
    x = torch.rand(4, *SHAPE) * 2 - 1
    model = Dimmer(0.5)
    (turn,) = Perceptual(draw=False).turns(model)
    assert turn.name == "perceptual"
    losses, _ = turn.loss(Batch(x), 0)
    assert (losses > 0).all()
    (slope,) = torch.autograd.grad(losses.mean(), turn.moves)
    assert slope < 0  # more light is nearer
    same, _ = Perceptual(draw=False).turns(Dimmer(1.0))[0].loss(Batch(x), 0)
    assert same.max() < 1e-6 * losses.min()


def test_what_it_is_not_for() -> None:
    with pytest.raises(UsageError, match="encodes and decodes, no Generator"):
        Perceptual().turns(mlp_gan(SHAPE, 8, (16,)))
    with pytest.raises(UsageError, match="weight of a perceptual term is -1"):
        Perceptual(-1.0)
