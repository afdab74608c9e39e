"""Latent models: a codec turns images into latents and back, a prior makes new latents.

Any model that encodes is a codec; any model of images is a prior, for latents are images of its own
(Vahdat et al. 2021, arXiv:2106.05931; Rombach et al. 2022, arXiv:2112.10752).

Notation: B batch, C channels, H W image sides, c h w channels and sides of the latents, a vector of D
values counting as (D, 1, 1); x image in [-1, 1], z latent of the codec, u standardised latent, e noise of the prior.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from triptych import ranks
from triptych.chance import Draw
from triptych.core import NOTHING, Edits, Encodes, Given, Model
from triptych.errors import UsageError

Codec = Annotated[Model, "model"]
Prior = Annotated[Callable[..., Model], "model", "later"]  # built when the shape of its images is known
HORIZON = 5_000  # images over which the mean and deviation of latents are taken at last
LEAST = 1e-4  # the smallest deviation: a channel that is always the same is not blown up


class Standard(nn.Module):
    """u = (z - mean) / deviation, one of each a channel, running over the images that it follows.

    They are those of all images so far, and then of about the last `HORIZON`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.square: Tensor
        self.images: Tensor
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("square", torch.ones(channels, 1, 1))
        self.register_buffer("images", torch.zeros((), dtype=torch.int64))

    def deviation(self) -> Tensor:
        """The standard deviation of each channel, (c, 1, 1)."""
        return (self.square - self.mean.square()).clamp(min=LEAST**2).sqrt()

    @torch.no_grad()
    def follow(self, z: Tensor) -> None:
        """Take latents (B, c, h, w) into account."""
        z = ranks.whole(z)
        self.images += len(z)
        weight = (len(z) / self.images.clamp(max=max(HORIZON, len(z)))).to(self.mean)
        self.mean.lerp_(z.mean((0, 2, 3))[:, None, None], weight)
        self.square.lerp_(z.square().mean((0, 2, 3))[:, None, None], weight)

    def forward(self, z: Tensor) -> Tensor:
        return (z - self.mean) / self.deviation()

    def undone(self, u: Tensor) -> Tensor:
        """Standardised latents (B, c, h, w) as the codec's."""
        return self.mean + self.deviation() * u


class Latent(Model):
    """A `prior` in the latents of a `codec`: x = codec.decode(z), z = mean + deviation u, u made by the prior.

    The latents of this model are the prior's noise e. `prior` is told image_shape, that of the latents, and
    builds the model. What `sample` is asked for beside the draw goes to the prior.
    """

    def __init__(self, codec: Codec, prior: Prior) -> None:
        super().__init__()
        if not isinstance(codec, Encodes):
            raise UsageError(f"model.codec: {type(codec).__name__} does not encode images; take a model that does.")
        shape = codec.latent_shape
        inner = (shape[0], shape[1], shape[2]) if len(shape) == 3 else (math.prod(shape), 1, 1)
        self.codec, self.prior = codec, prior(image_shape=inner)
        self.standard = Standard(inner[0])
        self.image_shape, self.latent_shape = codec.image_shape, self.prior.latent_shape
        self.classes = max(codec.classes, self.prior.classes)

    @property
    def reads(self) -> frozenset[str]:
        """What the codec or the prior hears."""
        return self.codec.reads | self.prior.reads

    def latents(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images (B, C, H, W) as the codec's latents z, (B, c, h, w): the mean, or a draw."""
        z: Tensor = self.codec.encode(x, given, draw)  # type: ignore[operator]
        return z.to(x.dtype).reshape(len(x), *self.prior.image_shape)

    def painted(self, u: Tensor, given: Given = NOTHING) -> Tensor:
        """Standardised latents (B, c, h, w) as images (B, C, H, W) in [-1, 1]."""
        return self.codec.decode(self.standard.undone(u).reshape(len(u), *self.codec.latent_shape), given)

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Noise of the prior (B, *latent_shape) to images (B, C, H, W) in [-1, 1]."""
        return self.painted(self.prior.decode(z, given), given)

    def sample(self, draw: Draw, given: Given = NOTHING, **how: Any) -> Tensor:
        """New images (B, C, H, W), one for each generator of `draw`; `how` goes to the prior's `sample`.

        Who watches the prior is shown images.
        """
        if watch := how.get("watch"):
            how["watch"] = lambda s, u: watch(s, self.painted(u, given))
        return self.painted(self.prior.sample(draw, given, **how), given)

    def vary(self, x: Tensor, strength: float, draw: Draw, given: Given = NOTHING, **how: Any) -> Tensor:
        """Images (B, C, H, W) varied in their latents, as the prior does it; raises where it does not."""
        if not isinstance(self.prior, Edits):
            raise UsageError("The prior of this model does not change images; take another prior.")
        u = self.standard(self.latents(x, given))
        return x if strength == 0 else self.painted(self.prior.vary(u, strength, draw, given, **how), given)

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images to the noise of which `decode` makes them, (B, *latent_shape); raises where the prior does not encode.

        Of the codec's mean, or of a draw. The codec's own features are `codec.encode(x)`.
        """
        if not isinstance(self.prior, Encodes):
            raise UsageError("The prior of this model does not encode; take the features of its codec, model.codec.")
        return self.prior.encode(self.standard(self.latents(x, given, draw)), given)
