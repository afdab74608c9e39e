"""The one model of the family: a network that tells the clean image from a noisy one.

Notation: B batch, C channels, H W sides; x clean image in [-1, 1]; n standard normal noise;
y = x + s n the noisy image at level s; z = y / sqrt(1 + s^2) at the highest level, N(0, I) for images.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Model, Shape
from triptych.diffusion import levels, samplers, scaling
from triptych.diffusion.samplers import Denoiser, Sampler
from triptych.diffusion.scaling import Scaling, eps
from triptych.errors import UsageError, nearest
from triptych.labels import classes_of
from triptych.nets.mlp import ResidualMlp
from triptych.nets.unet import UNet

SAMPLERS: dict[str, Sampler] = {
    "ddim": samplers.ddim,
    "ancestral": samplers.ancestral,
    "ancestral-large": partial(samplers.ancestral, variance=samplers.large),
}
NO_CHANCE = Draw(())  # where nothing is drawn


class Diffusion(Model):
    """A denoiser D(y, s) = skip * y + out * net(inp * y, place of s in `table`).

    `net` takes (B, C, H, W), (B,) and what is given to (B, C, H, W); `table` (T,) are the levels
    that it is trained on, rising; `sampler` makes images where none is asked for by name. While it
    does, estimates of the clean image are kept in [-bound, bound], as Ho et al. do. With `classes`,
    given["labels"] (B,) asks for one of them for each image; without labels an image may be of any.
    """

    def __init__(
        self,
        net: nn.Module,
        image_shape: Shape,
        classes: int,
        table: Tensor,
        scaling: Scaling = eps,
        sampler: str = "ddim",
        bound: float | None = 1.0,
    ) -> None:
        super().__init__()
        self.net, self.scaling, self.sampler = net, scaling, _known(sampler)
        self.bound = math.inf if bound is None else bound
        self.image_shape = self.latent_shape = image_shape
        self.classes = classes
        self.table: Tensor
        self.register_buffer("table", table.float(), persistent=False)

    def denoise(self, y: Tensor, s: Tensor, given: Given = NOTHING) -> Tensor:
        """The estimate of the clean image (B, C, H, W), without bounds, at levels s (B,)."""
        skip, out, inp = (factor.view(-1, 1, 1, 1) for factor in self.scaling(s))
        answer: Tensor = self.net(inp * y, levels.place(self.table, s), given)  # (B, C, H, W)
        return skip * y + out * answer

    @torch.no_grad()
    def sample(self, draw: Draw, given: Given = NOTHING, sampler: str | None = None, steps: int = 50) -> Tensor:
        """New images (B, C, H, W), one for each generator of `draw`.

        `sampler` is one of `SAMPLERS` (default: the model's own); `steps` is how often the network is
        asked. Raises a `UsageError` for a sampler or a number of steps that there is not, and for labels
        that are no class.
        """
        walk_down = SAMPLERS[_known(sampler or self.sampler)]
        down = levels.walk(self.table, steps)
        z = draw.normal(*self.latent_shape).to(self.table.dtype)
        return walk_down(self._denoiser(len(z), given, self.bound), z * self._spread(), down, draw)

    @torch.no_grad()
    def decode(self, z: Tensor, given: Given = NOTHING, steps: int = 50) -> Tensor:
        """Noise (B, C, H, W) to images by DDIM; raises as `sample` does, which draws the noise."""
        down = levels.walk(self.table, steps)
        return samplers.ddim(self._denoiser(len(z), given, self.bound), z * self._spread(), down, NO_CHANCE)

    @torch.no_grad()
    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None, steps: int = 50) -> Tensor:
        """Images (B, C, H, W) to the noise of which `decode` makes them, by DDIM run upwards.

        The more `steps`, the closer. The noise is a function of the image: `draw` changes nothing.
        """
        up = levels.walk(self.table, steps).flip(0)
        up[0] = self.table[0]  # the image itself counts as its lowest level
        return samplers.ddim(self._denoiser(len(x), given, math.inf), x, up, NO_CHANCE) / self._spread()

    def _spread(self) -> float:
        """What the highest level multiplies N(0, I) by to give y."""
        return math.hypot(1.0, self.table[-1].item())

    def _denoiser(self, images: int, given: Given, bound: float) -> Denoiser:
        """`denoise` with what is given, its answers within bounds."""
        if self.classes and "labels" in given:
            labels = given["labels"]
            if labels.shape != (images,) or labels.min() < 0 or labels.max() >= self.classes:
                raise UsageError(f"This model takes labels: give one from 0 to {self.classes - 1} for each image.")
        return lambda y, s: self.denoise(y, s, given).clamp(-bound, bound)


def _known(sampler: str) -> str:
    if sampler not in SAMPLERS:
        raise UsageError(f"There is no sampler {sampler!r}; {nearest(sampler, SAMPLERS)}")
    return sampler


def ddpm(
    image_shape: Shape,
    classes: int,
    width: int = 64,
    multipliers: tuple[int, ...] = (1, 2, 2, 2),
    blocks: int = 2,
    attention: tuple[int, ...] = (16,),
    dropout: float = 0.1,
    conditional: bool = False,
    steps: int = 1000,
    sampler: str = "ddim",
    bound: float | None = 1.0,
) -> Diffusion:
    """Denoising diffusion probabilistic models (Ho, Jain and Abbeel 2020, arXiv:2006.11239).

    The paper's network for 32x32 images is that of `width` 128; 64 is a quarter of it. `conditional`
    models take a label for each image; `sampler` is how images are made unless asked otherwise; `bound`
    null is for what is not in [-1, 1]. Raises a `UsageError` for values that make no network, and for a
    conditional model of images without classes.
    """
    classes = classes_of(conditional, classes)
    net = UNet(image_shape, classes, width, multipliers, blocks, attention, dropout)
    return Diffusion(net, image_shape, classes, levels.linear(steps), eps, sampler, bound)


def flow(
    image_shape: Shape,
    classes: int,
    width: int = 64,
    multipliers: tuple[int, ...] = (1, 2, 2, 2),
    blocks: int = 2,
    attention: tuple[int, ...] = (16,),
    dropout: float = 0.1,
    conditional: bool = False,
    steps: int = 1000,
    bound: float | None = None,
) -> Diffusion:
    """Rectified flow (Liu et al. 2022, arXiv:2209.03003) with the network of `ddpm`; raises as that does."""
    classes = classes_of(conditional, classes)
    net = UNet(image_shape, classes, width, multipliers, blocks, attention, dropout)
    return Diffusion(net, image_shape, classes, levels.straight(steps), scaling.flow, bound=bound)


def flow_mlp(
    image_shape: Shape,
    classes: int,
    width: int = 256,
    blocks: int = 4,
    dropout: float = 0.0,
    conditional: bool = False,
    steps: int = 1000,
    bound: float | None = None,
) -> Diffusion:
    """Rectified flow with a network for vectors, images (D, 1, 1); raises as `ddpm` does."""
    classes = classes_of(conditional, classes)
    net = ResidualMlp(image_shape, classes, width, blocks, dropout)
    return Diffusion(net, image_shape, classes, levels.straight(steps), scaling.flow, bound=bound)
