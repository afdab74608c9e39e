"""What the latents of a model spend, and what each of them does.

Notation: L latents, or channels where a latent is an image of h x w places; z latent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.core import ACTIVE, NOTHING, Given, Model, Source, Spends
from triptych.errors import DataError, UsageError
from triptych.insight.asking import Progress, able, over
from triptych.insight.reconstruction import encoder
from triptych.pixels import to_uint8
from triptych.sampling import at_rest


class Spending(NamedTuple):
    """What each of L latents costs on average over some images, and whether it is used at all."""

    nats: Tensor  # (L,) float64: its KL from the prior, over all places of a channel
    active: Tensor  # (L,) int64: how many of its units have a mean that varies by more than ACTIVE
    units: int  # of one latent: 1, or the places of a channel
    images: int

    def order(self) -> list[int]:
        """The latents, those that spend most first."""
        return [int(latent) for latent in self.nats.argsort(descending=True, stable=True)]


def spender(model: Model) -> Spends:
    """The model itself, or a `UsageError` that names those whose latents have a price."""
    if isinstance(model, Spends):
        return model
    raise UsageError(f"This model has no latents that spend nats on an image; {able('score')}.")


def spending(model: Model, source: Source, batch: int = 64, progress: Progress = lambda done: None) -> Spending:
    """KL of each latent on average, and its active units (Burda et al. 2015, arXiv:1509.00519, section 5.2).

    A unit is active where the variance of its posterior mean over the images exceeds ACTIVE. Raises a
    `UsageError` for a model that does not tell, a `DataError` for fewer than two images.
    """
    spent, encode = spender(model).spent, encoder(model).encode
    if len(source) < 2:
        raise DataError("What varies over images takes two of them at least: give more images.")
    count, zero = len(source), torch.zeros(model.latent_shape, dtype=torch.float64)
    nats, first, second = zero, zero, zero

    def told(x: Tensor, given: Given, part: Sequence[int]) -> tuple[Tensor, Tensor]:
        return spent(x, given).double().cpu(), encode(x, given).double().cpu()

    for cost, mean in over(model, source, told, batch, progress):
        nats, first, second = nats + cost.sum(0), first + mean.sum(0), second + mean.square().sum(0)
    variance = (second - first.square() / count) / (count - 1)
    by_latent = (len(zero), -1)
    active = (variance > ACTIVE).view(by_latent).sum(1)
    return Spending((nats / count).view(by_latent).sum(1), active, math.prod(zero.shape[1:]), count)


def strips(
    model: Model, z: Tensor, latents: Sequence[int], reach: float = 3.0, steps: int = 7, given: Given = NOTHING
) -> Iterator[Tensor]:
    """For each of these latents uint8 images (steps, C, H, W): z (1, *latent_shape) moved by -reach to +reach.

    The unit is the deviation of the prior N(0, I), and all places of a channel move together; the image in the
    middle of an odd number of steps is that of z itself.
    """
    for latent in latents:
        with at_rest(model) as device, torch.no_grad():
            moved = z.to(device).repeat(steps, *[1] * (z.ndim - 1))
            moved[:, latent] += torch.linspace(-reach, reach, steps).to(z).view(-1, *[1] * (z.ndim - 2))
            known = {name: value.to(device).expand(steps, *value.shape[1:]) for name, value in given.items()}
            images = to_uint8(model.decode(moved, known)).cpu()
        yield images
