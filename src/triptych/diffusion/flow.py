"""The probability flow: images to noise and back along one path each, and how it thins out.

All is in y = x + s n, dy/ds = (y - D) / s; the integrator alone walks the straight path's x_t = (1 - t) y,
t = s / (1 + s), where the slope is the velocity (y - D) / s - D (Liu et al. 2022, arXiv:2209.03003, equation 1): steps
may then be long at both ends, and what is gone up comes down on the same path, to less than a uint8 step in 12 steps.

Notation: y images (B, C, H, W) of d values at level s, D their clean estimate, J its Jacobian (d, d), v probes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from triptych.diffusion.samplers import Denoiser
from triptych.errors import UsageError

RHO = 2.0  # levels are even in t^(1 / RHO)


def times(start: float, end: float, steps: int) -> Tensor:
    """Times t (steps + 1,) from one level to another, float64; a `UsageError` where there is no step."""
    if steps < 1:
        raise UsageError(f"The probability flow was asked to take {steps} steps; give 1 or more.")
    first, last = ((level / (1 + level)) ** (1 / RHO) for level in (start, end))
    return torch.linspace(first, last, steps + 1, dtype=torch.float64) ** RHO


def flowed(
    denoise: Denoiser, y: Tensor, start: float, end: float, steps: int, probes: Sequence[Tensor] = ()
) -> tuple[Tensor, Tensor]:
    """Images y (B, C, H, W) led from one level to another, up or down, and the change of their log-density on the way.

    The change (B,), float64, is the integral of tr J - d over ln s (Song et al. 2021, arXiv:2011.13456, equation 39),
    the trace being the sum of v J v over `probes` v (B, C, H, W); without any it is left out. Runge-Kutta of order 4:
    4 `steps` estimates. Raises a `UsageError` where there is no step.
    """

    def field(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        y, s = x / (1 - t), t / (1 - t)
        clean, trace = _traced(denoise, y, s, probes)
        return (y - clean) / s - clean, trace

    x, traces = y / (1 + start), y.new_zeros(len(y), dtype=torch.float64)
    for t, u in pairwise(times(start, end, steps).tolist()):
        h, middle = u - t, (t + u) / 2
        k1, a = field(x, t)
        k2, b = field(x + h / 2 * k1, middle)
        k3, c = field(x + h / 2 * k2, middle)
        k4, e = field(x + h * k3, u)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        first, half, last = weights(t, u)
        traces = traces + first * a + half / 2 * (b + c) + last * e
    return x * (1 + end), traces - y[0].numel() * math.log(end / start)


def weights(t: float, u: float) -> tuple[float, float, float]:
    """Of f(t), f((t + u) / 2) and f(u), in the integral of their parabola over ln s: Simpson's rule for that measure.

    A trace is the smoother in t, but its weight dt / (t (1 - t)) is not.
    """
    c, h = (t + u) / 2, (u - t) / 2
    m0 = math.log(u / t * (1 - t) / (1 - u))  # integrals of 1, t and t^2
    m1 = math.log((1 - t) / (1 - u))
    m2 = m1 - (u - t)
    n1, n2 = (m1 - c * m0) / h, (m2 - 2 * c * m1 + c * c * m0) / h**2  # the same about the middle, in half strides
    return (n2 - n1) / 2, m0 - n2, (n2 + n1) / 2


def _traced(denoise: Denoiser, y: Tensor, s: float, probes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """D (B, C, H, W) and the trace of its Jacobian (B,), float64."""
    with torch.set_grad_enabled(len(probes) > 0):
        y = y.detach().requires_grad_(len(probes) > 0)
        clean = denoise(y, y.new_full((len(y),), s))
    trace = y.new_zeros(len(y), dtype=torch.float64)
    for probe in probes:
        (pulled,) = torch.autograd.grad(clean, y, probe, retain_graph=True)
        trace += (pulled * probe).flatten(1).sum(1)
    return clean.detach(), trace
