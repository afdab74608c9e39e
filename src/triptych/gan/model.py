"""The one model of the family: whatever its network, a generator is noise in, image out.

Notation: B batch, C channels, H W image sides; z latent, x image.
"""

from __future__ import annotations

from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Model, Shape
from triptych.errors import UsageError


class Generator(Model):
    """x = net(z) with z ~ N(0, I).

    `net` takes latents (B, latent) to images (B, C, H, W) in [-1, 1]. Where it holds batch norm,
    an image is a function of its own z alone in eval mode only.
    """

    def __init__(self, net: nn.Module, image_shape: Shape, latent: int) -> None:
        super().__init__()
        self.net = net
        self.image_shape = image_shape
        self.latent_shape = (latent,)
        self.classes = 0

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Latents (B, latent) to images (B, C, H, W) in [-1, 1]."""
        x: Tensor = self.net(z)  # (B, latent) -> (B, C, H, W)
        return x

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        """New images (B, C, H, W), one for each generator of `draw`."""
        return self.decode(draw.normal(*self.latent_shape), given)


def check_latent(latent: int) -> int:
    """`latent` itself, or a sentence where no noise is left to draw from."""
    if latent < 1:
        raise UsageError(f"A generator's latent size is {latent}; give 1 or more.")
    return latent
