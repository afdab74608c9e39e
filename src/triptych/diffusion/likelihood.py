"""How probable a denoiser finds uint8 images: by the variational bound, and along the probability flow.

What is scored is sampling without errors of its own: ancestral in infinitely many steps from the top level S down to
`LAST`, where each value is drawn around the estimate; or the flow down to `FLOOR`, where it is rounded. A uint8 value
owns the bin of one `STEP` around it; premultiplied colour, off the grid, has such a bin around itself.

Notation: B images of d values; x clean image in [-1, 1], y = x + s n the noisy one at level s, D its estimate, all
(B, C, H, W); J the Jacobian of D; at the top y is N(0, (1 + S^2) I). Log-probabilities (B,) are float64, in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.special import log_ndtr

from triptych.chance import Draw
from triptych.diffusion.flow import flowed
from triptych.diffusion.samplers import Denoiser, large
from triptych.pixels import HALF

STEP = 1 / HALF  # the width of a uint8 value in units of x
FLOOR = STEP / math.sqrt(12)  # the level whose noise has the variance of even noise in a bin
LAST = 0.01  # the level of Ho et al.'s last step (2020, section 4: beta_1 = 1e-4)
STEPS = 12  # of Runge-Kutta, 48 estimates: right to about a thousandth of a bit for a value


def log_density(denoise: Denoiser, y: Tensor, low: float, top: float, steps: int, probes: Tensor) -> Tensor:
    """log p(y) (B,) of images y at level `low` where they flow from N(0, (1 + S^2) I) at the top.

    (Song et al. 2021, arXiv:2011.13456, section 4.3.) Probes as `all_directions` or `random_directions` gives them.
    """
    z, change = flowed(denoise, y, low, top, steps, list(probes))
    variance = 1 + top * top
    squares = z.double().square().flatten(1).sum(1)  # (B,)
    return -(squares / variance + y[0].numel() * math.log(2 * math.pi * variance)) / 2 - change


def all_directions(y: Tensor) -> Tensor:
    """Probes (d, B, C, H, W), the unit vectors: the trace is exact."""
    unit = torch.eye(y[0].numel(), dtype=y.dtype, device=y.device)
    return unit.view(-1, 1, *y.shape[1:]).expand(-1, *y.shape)


def random_directions(y: Tensor, draw: Draw) -> Tensor:
    """One probe of signs for each image, (1, B, C, H, W): the trace is right on average (Hutchinson 1990)."""
    return (2 * draw.integers(2, *y.shape[1:]) - 1).to(y)[None]


def dequantised(x: Tensor, draw: Draw) -> Tensor:
    """Images (B, C, H, W) with even noise in the bin of each value (Theis et al. 2016, arXiv:1511.01844)."""
    return x + STEP * (draw.uniform(*x.shape[1:]).to(x) - 0.5)


def along_flow(denoise: Denoiser, x: Tensor, draw: Draw, top: float, samples: int, steps: int, exact: bool) -> Tensor:
    """A lower bound on log P(x) (B,) on average over its draws: the log-density of dequantised images, over a bin.

    With `exact` traces the densities of the `samples` draws are averaged, and the bound is the tighter the more there
    are (Burda et al. 2015, arXiv:1509.00519, equation 8). Errors of random traces would then count as probability:
    with those it is the log-densities, and more draws make the bound steadier only.
    """
    nats = []
    for _ in range(samples):
        y = dequantised(x, draw)
        probes = all_directions(y) if exact else random_directions(y, draw)
        nats.append(log_density(denoise, y, FLOOR, top, steps, probes))
    each = torch.stack(nats)  # (K, B)
    return x[0].numel() * math.log(STEP) + (each.logsumexp(0) - math.log(samples) if exact else each.mean(0))


def variational(denoise: Denoiser, x: Tensor, draw: Draw, top: float, samples: int) -> Tensor:
    """A lower bound on log P(x) (B,) on average over its draws: log P(x | y) at `LAST`, less what noise above it costs.

    In continuous time that is the integral of E |x - D|^2 / s^2 over ln s (Kingma et al. 2021, arXiv:2107.00630,
    section 5.1, SNR = 1 / s^2), here at `samples` levels for each image, evenly spread but for one offset
    (appendix I.1); and `told` at the top.
    """
    span, offset = math.log(top / LAST), draw.uniform().double()  # (B,)
    cost = torch.zeros_like(offset)
    for number in range(samples):
        s = LAST * (span * (number + offset) / samples).exp()  # (B,)
        y = x + s.to(x).view(-1, 1, 1, 1) * draw.normal(*x.shape[1:]).to(x)
        wrong = (denoise(y, s.to(x)) - x).double().flatten(1)  # (B, d)
        cost += wrong.square().sum(1) / s.square() * span / samples
    return decoded(denoise, x, draw) - cost - told(x, top)


def ancestral(denoise: Denoiser, x: Tensor, draw: Draw, top: float, samples: int) -> Tensor:
    """The same of ancestral sampling in `samples` steps, its noise of the small variance, one draw a step.

    A step from level s to t costs (1 / t^2 - 1 / s^2) |x - D|^2 / 2 (Ho et al. 2020, arXiv:2006.11239, equations 5 and
    8; Kingma et al. 2021, equation 13). Levels are even in ln s. A good denoiser's bound is tighter with every step.
    """
    cost = x.new_zeros(len(x), dtype=torch.float64)
    for s, t in pairwise(levels(top, samples).tolist()):
        y = x + s * draw.normal(*x.shape[1:]).to(x)
        wrong = (denoise(y, y.new_full((len(y),), s)) - x).double().flatten(1)  # (B, d)
        cost += (t**-2 - s**-2) / 2 * wrong.square().sum(1)
    return decoded(denoise, x, draw) - cost - told(x, top)


def levels(top: float, steps: int) -> Tensor:
    """Levels (steps + 1,) from the top down to `LAST`, even in ln s, float64."""
    return torch.linspace(math.log(top), math.log(LAST), steps + 1, dtype=torch.float64).exp()


def decoded(denoise: Denoiser, x: Tensor, draw: Draw) -> Tensor:
    """log P(x | y) (B,) of y at `LAST`: the mass of each bin under a normal around D (Ho et al. 2020, equation 13).

    The first and the last bin take the tails.
    """
    y = x + LAST * draw.normal(*x.shape[1:]).to(x)
    away = (x - denoise(y, y.new_full((len(y),), LAST))).double()
    half = torch.full_like(away, STEP / 2)
    low, high = (-half).masked_fill(x - STEP / 2 < -1, -math.inf), half.masked_fill(x + STEP / 2 > 1, math.inf)
    deviation = math.sqrt(large(LAST, 0))
    return log_mass((away + low) / deviation, (away + high) / deviation).flatten(1).sum(1)


def log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log(Phi(high) - Phi(low)) for low < high, exact in both tails."""
    left = low + high < 0  # by symmetry every bin may lie in the left tail
    near, far = log_ndtr(torch.where(left, high, -low)), log_ndtr(torch.where(left, low, -high))
    mass: Tensor = near + torch.log(-torch.expm1(far - near))
    return mass


def told(x: Tensor, top: float) -> Tensor:
    """What noise at the top tells of the image, (B,): KL(N(x, S^2 I) || N(0, (1 + S^2) I)), L_T of Ho et al. (2020)."""
    variance = 1 + top * top
    squares = x.double().square().flatten(1).sum(1)
    return (squares / variance + x[0].numel() * (math.log1p(top**-2) - 1 / variance)) / 2


class Way(NamedTuple):
    """A lower bound on log P(x), and how many draws it takes unless told otherwise."""

    words: str
    samples: int
    bound: Callable[[Denoiser, Tensor, Draw, float, int], Tensor]  # denoiser, x, chance, top, samples -> (B,)


WAYS = {
    "variational": Way("the variational bound of infinitely many steps", 16, variational),
    "ancestral": Way("the variational bound of ancestral sampling, a draw a step", 250, ancestral),
    "flow": Way("the probability flow with random traces", 1, partial(along_flow, steps=STEPS, exact=False)),
    "exact-flow": Way("the probability flow with exact traces", 1, partial(along_flow, steps=STEPS, exact=True)),
}
