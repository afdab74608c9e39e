"""The probability flow by a method that chooses its own steps, for each image its own.

Notation: u = ln s; dy/du = y - D; B images, each with its own u, step h and error.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.samplers import Denoiser
from triptych.errors import UsageError

NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)  # Dormand and Prince (1980), table 2
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERRORS = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
FIRST, LEAST = 0.1, 1e-10  # the first step in u; the step that is given up, should it still be too long


def rk45(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw, rtol: float = 1e-4, atol: float = 1e-4) -> Tensor:
    """Runge-Kutta of order 5 with an error of order 4 (Dormand and Prince 1980; Song et al. 2021, appendix D.4).

    Of `levels` only the first, the last and, where that is 0, the one before it count: there the estimate of the
    clean image is taken. The root mean square of an image's error over atol + rtol |y| stays under 1 at each step;
    no image's steps depend on the others. Rising levels are walked up.
    """
    ends = [level for level in (levels[0].item(), *levels[-2:].tolist()) if level > 0]
    start, end = math.log(ends[0]), math.log(ends[-1])
    y = _walked(denoise, y, start, end, rtol, atol)
    return denoise(y, y.new_full((len(y),), ends[-1])) if levels[-1] == 0 else y


def _walked(denoise: Denoiser, y: Tensor, start: float, end: float, rtol: float, atol: float) -> Tensor:
    def slope(y: Tensor, u: Tensor) -> Tensor:
        return y - denoise(y, u.exp().to(y))

    way = math.copysign(1.0, end - start)
    u = torch.full((len(y),), start, dtype=torch.float64, device=y.device)  # (B,)
    h = torch.full_like(u, way * min(FIRST, abs(end - start)))
    first = slope(y, u)
    while bool((u != end).any()):
        slopes = [first]
        for node, weights in zip(NODES, STAGES, strict=True):
            ahead = y + _column(h, y) * sum(w * k for w, k in zip(weights, slopes, strict=True) if w)
            slopes.append(slope(ahead, u + node * h))
        wrong = _column(h, y) * sum(w * k for w, k in zip(ERRORS, slopes, strict=True) if w)
        size = (wrong / (atol + rtol * torch.maximum(y.abs(), ahead.abs()))).flatten(1).square().mean(1).sqrt().double()
        size = size.nan_to_num(math.inf)  # an answer that is no number was asked for too far away
        taken = size <= 1
        if bool((~taken & (h.abs() < LEAST)).any()):
            raise UsageError(
                f"rk45 is stuck at level {u.exp().max():.4g}: the network's answers are no smooth function."
            )
        y = torch.where(_column(taken, y).bool(), ahead, y)
        first = torch.where(_column(taken, y).bool(), slopes[-1], first)
        last = (u + h - end) * way >= -1e-12
        u = torch.where(taken, torch.where(last, torch.full_like(u, end), u + h), u)
        h = way * torch.minimum(h.abs() * (0.9 * size.clamp(min=1e-10) ** -0.2).clamp(0.2, 5), (end - u).abs())
    return y


def _column(value: Tensor, y: Tensor) -> Tensor:
    """A number for each image (B,), to be multiplied with images."""
    return value.to(y).view(-1, *[1] * (y.ndim - 1))
