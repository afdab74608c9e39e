"""Samplers of one or a few steps, for networks that know where a whole stretch of the path ends.

Notation: y the noisy image (B, C, H, W) at level s, t the next level, D the estimate of the clean image.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.samplers import Denoiser


def consistency(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw) -> Tensor:
    """Estimate, add noise back, estimate (Song et al. 2023, arXiv:2303.01469, algorithm 1).

    Each level costs one evaluation; the step to level 0 draws nothing.
    """
    for s, t in pairwise(levels.tolist()):
        y = denoise(y, y.new_full((len(y),), s))  # (B, C, H, W)
        if t > 0:
            y = y + t * draw.normal(*y.shape[1:]).to(y)
    return y


def average(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw) -> Tensor:
    """Along the mean velocity of each stretch (Geng et al. 2025, arXiv:2505.13447, equation 12); nothing is drawn.

    x_r = x_t - (t - r) u in the coordinates of the package's head: the step of DDIM, with a denoiser that is told
    where the step ends.
    """
    for s, t in pairwise(levels.tolist()):
        clean = denoise(y, y.new_full((len(y),), s), y.new_full((len(y),), t))  # (B, C, H, W)
        y = clean + t / s * (y - clean)
    return y
