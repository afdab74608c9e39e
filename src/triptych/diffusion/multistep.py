"""Samplers that remember: each step asks the network once and reuses what it said at the levels before.

Notation: s the level of y, t the next one; l = -ln s; h = -ln(t / s), the step in l; D the estimate of the clean image.
In y = x + s n all paths have alpha = 1 and sigma = s, so the formulas of the papers lose their alpha.
Factors are computed in float64. A step to level 0 takes the last estimate as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.samplers import Denoiser

ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
Past = list[tuple[float, Tensor]]  # l and D, the newest last


def dpm(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw, eta: float = 0.0) -> Tensor:
    """DPM-Solver++ (2M) (Lu et al. 2022, arXiv:2211.01095, algorithm 2); with `eta` 1 its SDE form.

    That form adds fresh noise at each step but the last. The first step is of the first order.
    """
    past: Past = []
    for s, t in pairwise(levels.tolist()):
        clean = denoise(y, y.new_full((len(y),), s))  # (B, C, H, W)
        if t == 0:
            return clean
        h = math.log(s / t)
        ahead = clean
        if past:
            r = (-math.log(s) - past[-1][0]) / h
            ahead = clean + (clean - past[-1][1]) / (2 * r)
        y = t / s * math.exp(-eta * h) * y - math.expm1(-(1 + eta) * h) * ahead
        if eta:
            y = y + t * math.sqrt(-math.expm1(-2 * eta * h)) * draw.normal(*y.shape[1:]).to(y)
        past.append((-math.log(s), clean))
    return y


def unipc(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw, order: int = 3) -> Tensor:
    """UniPC with B_2(h) = exp(h) - 1 (Zhao et al. 2023, arXiv:2302.04867, algorithms 5 and 6), of order up to 4.

    Each step predicts y at the next level; the estimate made there first corrects the step that led to it, and
    then serves the next. The first steps, and the last before level 0, are of lower order.
    """
    down = levels.tolist()
    past: Past = [(-math.log(down[0]), denoise(y, y.new_full((len(y),), down[0])))]
    for step, (s, t) in enumerate(pairwise(down)):
        if t == 0:
            return past[-1][1]
        left = len(down) - 1 - step
        p = min(order, step + 1, left if down[-1] == 0 else order)
        ahead = _predicted(y, past, s, t, p)
        if left == 1:
            return ahead  # nobody will ask what is there
        clean = denoise(ahead, y.new_full((len(y),), t))
        y = _predicted(y, past, s, t, p, clean)
        past = [*past[-order:], (-math.log(t), clean)]
    return y


def _predicted(y: Tensor, past: Past, s: float, t: float, p: int, met: Tensor | None = None) -> Tensor:
    """y at level t from y at level s: UniP of order p, or UniC of order p where the estimate there is met already."""
    h = math.log(s / t)
    here, clean = past[-1]
    others = [((place - here) / h, estimate) for place, estimate in past[-p:-1][::-1]]
    others += [] if met is None else [(1.0, met)]
    y = t / s * y - math.expm1(-h) * clean
    for weight, (r, estimate) in zip(_weights([r for r, _ in others], h), others, strict=True):
        y = y - math.expm1(-h) * weight / r * (estimate - clean)
    return y


def _weights(places: Sequence[float], h: float) -> list[float]:
    """The a of R(h) a = b(h), R_mk = r_k^(m - 1), b of phi functions (Zhao et al. 2023, theorem 3.1 and appendix A)."""
    if len(places) == 1:
        return [0.5]  # as the paper has it, for all h
    phi, right, factorial = math.expm1(-h) / -h - 1, [], 1.0
    for m in range(1, len(places) + 1):
        right.append(phi * factorial / math.expm1(-h))
        factorial *= m + 1
        phi = phi / -h - 1 / factorial
    r = torch.tensor(places, dtype=torch.float64)
    powers = r[None, :] ** torch.arange(len(places), dtype=torch.float64)[:, None]
    found: list[float] = torch.linalg.solve(powers, torch.tensor(right, dtype=torch.float64)).tolist()
    return found


def ipndm(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw, order: int = 4) -> Tensor:
    """Improved pseudo-linear multistep on the slope dy/ds (Zhang and Chen 2022, arXiv:2204.13902, section 3.3).

    Adams-Bashforth of the order that the slopes so far allow, with the weights of even steps.
    """
    slopes: list[Tensor] = []
    for s, t in pairwise(levels.tolist()):
        slopes = [(y - denoise(y, y.new_full((len(y),), s))) / s, *slopes[: order - 1]]
        weights = ADAMS_BASHFORTH[len(slopes) - 1]
        y = y + (t - s) * sum(weight * slope for weight, slope in zip(weights, slopes, strict=True))
    return y
