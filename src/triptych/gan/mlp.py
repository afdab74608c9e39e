"""The multilayer GAN: fully connected networks on flattened images (Goodfellow et al. 2014, section 5).

Notation: B batch, C channels, H W image sides, N = C H W.
"""

from __future__ import annotations

import itertools
import math

from torch import nn

from triptych.core import Shape
from triptych.errors import UsageError
from triptych.gan.critic import Critic
from triptych.gan.model import Generator, check_latent
from triptych.nets.dropout import Dropout


def mlp_gan(image_shape: Shape, latent: int = 100, widths: tuple[int, ...] = (256, 512, 1024)) -> Generator:
    """Linear layers with batch norm and ReLU, then tanh: (B, latent) -> (B, C, H, W) in [-1, 1]."""
    sizes = (check_latent(latent), *_check_widths(widths))
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
    last = nn.Linear(sizes[-1], math.prod(image_shape))  # (B, N)
    net = nn.Sequential(*layers, last, nn.Tanh(), nn.Unflatten(1, image_shape))
    return Generator(net, image_shape, latent)


def mlp_critic(image_shape: Shape, widths: tuple[int, ...] = (1024, 512, 256), dropout: float = 0.3) -> Critic:
    """Linear layers with LeakyReLU 0.2 and dropout: (B, C, H, W) -> logits (B,)."""
    if not 0 <= dropout < 1:
        raise UsageError(f"The critic's dropout is {dropout}; give a share from 0 to under 1.")
    sizes = (math.prod(image_shape), *_check_widths(widths))
    layers: list[nn.Module] = [nn.Flatten()]  # (B, N)
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2), Dropout(dropout)]
    return Critic(nn.Sequential(*layers), sizes[-1])


def _check_widths(widths: tuple[int, ...]) -> tuple[int, ...]:
    if not widths or min(widths) < 1:
        raise UsageError(f"The widths {list(widths)} make no network; give one or more, each 1 or more.")
    return widths
