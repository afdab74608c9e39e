"""Samplers: plain functions that walk a noisy image down a tensor of levels.

Notation: y the noisy image (B, C, H, W) at level s, t the next level, D the estimate of the clean image.
All a sampler sees of a model is a `Denoiser`. Factors are computed in float64 whatever y is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor

from triptych.chance import Draw

Denoiser = Callable[..., Tensor]  # y (B, C, H, W), s (B,), and perhaps the next level (B,) -> D (B, C, H, W)
Sampler = Callable[[Denoiser, Tensor, Tensor, Draw], Tensor]  # denoiser, y, levels, chance -> y at the last
Variance = Callable[[float, float], float]  # s, t -> variance of the noise that a step adds


def small(s: float, t: float) -> float:
    """The variance of y_t given y_s and the clean image, tilde beta (Ho et al. 2020, equation 7)."""
    return t * t * (s * s - t * t) / (s * s)


def large(s: float, t: float) -> float:
    """The variance of the noising from t to s, beta (Ho et al. 2020, section 3.2), on the scale of y_t."""
    return (1 + t * t) * (s * s - t * t) / (1 + s * s)


def ddim(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw, eta: float = 0.0) -> Tensor:
    """Denoising diffusion implicit models (Song, Meng and Ermon 2021, arXiv:2010.02502, equation 12).

    With `eta` 0 nothing is drawn: it is Euler's method on the probability flow, and runs up rising
    levels as well. With `eta` 1 it is `ancestral` with the small variance.
    """
    for s, t in pairwise(levels.tolist()):
        fresh = eta * eta * small(s, t)
        clean = denoise(y, y.new_full((len(y),), s))  # (B, C, H, W)
        y = clean + math.sqrt(t * t - fresh) / s * (y - clean)
        if fresh:
            y = y + math.sqrt(fresh) * draw.normal(*y.shape[1:]).to(y)
    return y


def ancestral(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw, variance: Variance = small) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, algorithm 2); the step to level 0 adds no noise."""
    for s, t in pairwise(levels.tolist()):
        clean = denoise(y, y.new_full((len(y),), s))  # (B, C, H, W)
        y = clean + (t / s) ** 2 * (y - clean)
        if t > 0:
            y = y + math.sqrt(variance(s, t)) * draw.normal(*y.shape[1:]).to(y)
    return y


def heun(
    denoise: Denoiser,
    y: Tensor,
    levels: Tensor,
    draw: Draw,
    churn: float = 0.0,
    between: tuple[float, float] = (0.05, 50.0),
    noise: float = 1.003,
) -> Tensor:
    """Heun's method on the probability flow (Karras et al. 2022, arXiv:2206.00364, algorithms 1 and 2).

    Each step is corrected by the slope at its end; the step to level 0 is Euler's. `churn` raises levels `between`
    the two by fresh noise, `noise` times as strong, before each step, and with 0 nothing is drawn; without churn
    it runs up rising levels as well.
    """
    most = min(churn / (len(levels) - 1), math.sqrt(2) - 1)
    for s, t in pairwise(levels.tolist()):
        if most and between[0] <= s <= between[1]:
            higher = s * (1 + most)
            y = y + noise * math.sqrt(higher * higher - s * s) * draw.normal(*y.shape[1:]).to(y)
            s = higher
        slope = _slope(denoise, y, s)
        ahead = y + (t - s) * slope
        y = y + (t - s) / 2 * (slope + _slope(denoise, ahead, t)) if t > 0 else ahead
    return y


def _slope(denoise: Denoiser, y: Tensor, s: float) -> Tensor:
    """dy/ds of the probability flow (Karras et al. 2022, equation 1)."""
    return (y - denoise(y, y.new_full((len(y),), s))) / s
