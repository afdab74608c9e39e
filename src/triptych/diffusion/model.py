"""The model of the family whose estimate of the clean image is the mean of all that it may be.

Then its slope is that of the probability flow, which leads images to noise and back, and noisy images have a
likelihood (`likelihood.py`). One step of a walk can be any of `walks.py`.

Notation: B batch, C channels, H W sides; x clean image in [-1, 1]; y = x + s n the noisy image at level s; S the top
level; z = y / sqrt(1 + S^2) there, N(0, I) for images.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Likelihood
from triptych.diffusion.flow import flowed
from triptych.diffusion.likelihood import FLOOR, WAYS
from triptych.diffusion.walker import Walker
from triptych.errors import UsageError, nearest


class Diffusion(Walker):
    """A walker that encodes and scores along the probability flow, from level `FLOOR` to the top of the table."""

    ways: Mapping[str, int] = MappingProxyType({name: way.samples for name, way in WAYS.items()})

    def decode(self, z: Tensor, given: Given = NOTHING, steps: int = 12) -> Tensor:
        """Noise (B, C, H, W) to images down the probability flow, by 4 `steps` estimates; raises as `sample` does."""
        return flowed(self.denoiser(len(z), given), z * self.spread(), self.table[-1].item(), FLOOR, steps)[0]

    @torch.no_grad()
    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None, steps: int = 12) -> Tensor:
        """Images (B, C, H, W) to the noise of which `decode` makes them, up the same flow.

        Each path is a function of its start, so that the way back is the same (Song et al. 2021, arXiv:2011.13456,
        section 4.3): the more `steps`, the closer. The noise is a function of the image: `draw` changes nothing.
        """
        return flowed(self.denoiser(len(x), given), x, FLOOR, self.table[-1].item(), steps)[0] / self.spread()

    @torch.no_grad()
    def log_likelihood(
        self, x: Tensor, draw: Draw, given: Given = NOTHING, samples: int | None = None, by: str = "variational"
    ) -> Likelihood:
        """A lower bound on log P(x), `by` one of `likelihood.WAYS`, with so many `samples`, else as many as it names.

        Raises a `UsageError` where there is no such way, or fewer samples than 1.
        """
        if by not in WAYS:
            raise UsageError(f"This model does not score by {by!r}: {nearest(by, WAYS)}")
        if samples is not None and samples < 1:
            raise UsageError(f"The bound was asked for with {samples} samples; it takes 1 or more.")
        way, denoise = WAYS[by], self.denoiser(len(x), given)
        nats = way.bound(denoise, x, draw, self.table[-1].item(), samples or way.samples)
        return Likelihood(nats, bound=True, by=way.words)
