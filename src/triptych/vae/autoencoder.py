"""The KL auto-encoder: the first stage of latent models (Rombach et al. 2022, arXiv:2112.10752, section 3.1).

A `Vae` whose latent is an image itself, `reduction` times smaller: residual blocks down to it and back, and so
small a weight on the KL (the recipe's `beta`) that it bounds the latents' scale and costs no detail.

Notation: B batch, C channels, H W image sides, c h w those of the latent.
"""

from __future__ import annotations

from torch import Tensor, nn

from triptych.core import Shape
from triptych.errors import UsageError
from triptych.nets.coder import Down, Up
from triptych.nets.conv import Side
from triptych.vae.likelihood import NoiseNode
from triptych.vae.model import Vae

REDUCTIONS = (1, 2, 4, 8, 16)


def autoencoder_kl(
    image_shape: Shape,
    noise: NoiseNode,
    latent: int = 4,
    reduction: int = 4,
    width: int = 64,
    blocks: int = 1,
    strided: bool = False,
) -> Vae:
    """Latents (B, latent, H / reduction, W / reduction); sides that do not divide are rounded down, at least 1 px.

    `strided`: no block works at the full sides, for a small machine. Raises a `UsageError` where the latent
    would be smaller than a pixel, and for values that make no network.
    """
    channels, height, width_px = image_shape
    if reduction not in REDUCTIONS or latent < 1 or strided > (reduction > 1):
        raise UsageError(f"latent is {latent} and reduction {reduction}: give 1 or more, and one of {REDUCTIONS}.")
    if min(height, width_px) < reduction:
        raise UsageError(
            f"Images of {height}x{width_px} px cannot be reduced {reduction} times: lower reduction or enlarge them."
        )
    sides = halvings((height, width_px), reduction)
    encoder = Down(channels, 2 * latent, sides, width, blocks, strided=strided)
    decoder = Up(latent, noise.answers, sides, width, blocks, strided=strided)
    return Vae(image_shape, (latent, *sides[-1]), encoder, Untold(decoder), noise)


class Untold(nn.Module):
    """A network that is not told the class."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        y: Tensor = self.net(x)
        return y


def halvings(side: Side, reduction: int) -> list[Side]:
    """The sides from an image down to one `reduction` times smaller.

    >>> halvings((32, 49), 4)
    [(32, 49), (16, 24), (8, 12)]
    """
    steps = [side]
    while reduction > 1:
        height, width = steps[-1]
        steps.append((height // 2, width // 2))
        reduction //= 2
    return steps
