"""The model of the family whose answer is the end of a path, or of a stretch of it, so that one step is enough.

Its answer is not the mean of all images that may be under the noise: there is no probability flow in it to lead an
image up to its noise, and no likelihood.
"""

from __future__ import annotations

from torch import Tensor

from triptych.core import NOTHING, Given
from triptych.diffusion.walker import NO_CHANCE, Walker
from triptych.diffusion.walks import SAMPLERS


class Leap(Walker):
    """A walker whose latents are led to images in one step of its sampler."""

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Noise (B, C, H, W) to images in one step, through which gradients flow; raises as `sample` does."""
        walk = SAMPLERS[self.sampler]
        return walk(self.denoiser(len(z), given), z * self.spread(), self.levels(None, 1), NO_CHANCE)
