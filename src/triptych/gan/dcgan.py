"""DCGAN: strided convolutions, batch norm and no pooling (Radford, Metz and Chintala 2015, section 3).

The number of layers follows the image size: each halves the sides on the way to a core of 4 to 7 px,
four of them at 64 px as in the paper's figure 1.
"""

from __future__ import annotations

from torch import nn

from triptych.core import Shape
from triptych.gan.critic import Critic
from triptych.gan.model import Generator, check_latent
from triptych.nets.conv import ConvDecoder, ConvEncoder


def dcgan(image_shape: Shape, latent: int = 100, width: int = 64, core: int = 4) -> Generator:
    """Transposed convolutions with batch norm and ReLU, then tanh: (B, latent) -> (B, C, H, W) in [-1, 1].

    The layer before the image has `width` channels, each layer before it twice as many (at most 8 x).
    """
    net = nn.Sequential(ConvDecoder(check_latent(latent), image_shape, width, core=core), nn.Tanh())
    return Generator(net.apply(initialise), image_shape, latent)


def dcgan_critic(image_shape: Shape, width: int = 64, core: int = 4) -> Critic:
    """Convolutions with LeakyReLU 0.2, batch norm but on the first: (B, C, H, W) -> logits (B,)."""
    trunk = ConvEncoder(image_shape, width, core=core)
    return Critic(trunk, trunk.features).apply(initialise)


def initialise(layer: nn.Module) -> None:
    """Weights from N(0, 0.02), batch norm's scales from N(1, 0.02), offsets zero (section 4)."""
    if isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
    elif isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    bias = getattr(layer, "bias", None)
    if bias is not None:
        nn.init.zeros_(bias)
