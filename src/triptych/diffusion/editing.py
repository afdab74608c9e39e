"""Images changed without training: noised and walked down again, in part or as a whole.

Notation: x images (B, C, H, W) in [-1, 1]; y = x + s n; D the estimate of the clean image; s > t levels of a walk.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.samplers import Denoiser, Sampler, small

JUMPS = 10  # how often each step of inpainting is taken, as in the paper


def varied(walk: Sampler, denoise: Denoiser, x: Tensor, levels: Tensor, strength: float, draw: Draw) -> Tensor:
    """x noised to where a share `strength` of the steps is left, and walked down from there.

    SDEdit (Meng et al. 2022, arXiv:2108.01073, algorithm 1). 0 gives x itself.
    """
    left = round(strength * (len(levels) - 1))
    if not left:
        return x
    down = levels[len(levels) - 1 - left :]
    return walk(denoise, x + down[0].item() * draw.normal(*x.shape[1:]).to(x), down, draw)


def inpainted(denoise: Denoiser, x: Tensor, new: Tensor, levels: Tensor, draw: Draw, jumps: int = JUMPS) -> Tensor:
    """x with what is `new` (B, 1, H, W) made to fit the rest, which stays to the bit.

    RePaint (Lugmayr et al. 2022, arXiv:2201.09865, algorithm 1): an ancestral step from s to t, the known pixels put in
    at level t, then noise back to s, `jumps` times over, so that the new pixels come to agree with the known.
    """

    def noise() -> Tensor:
        return draw.normal(*x.shape[1:]).to(x)

    y = levels[0].item() * noise()
    for s, t in pairwise(levels.tolist()):
        for jump in range(jumps if t > 0 else 1):
            if jump:
                y = y + math.sqrt(s * s - t * t) * noise()
            clean = denoise(y, y.new_full((len(y),), s))
            made = clean + (t / s) ** 2 * (y - clean)
            if t > 0:
                made = made + math.sqrt(small(s, t)) * noise()
            y = torch.where(new, made, x + t * noise() if t > 0 else x)
    return y
