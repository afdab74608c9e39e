"""How fast the error of each sampler falls with the number of steps, beside what theory says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.flow import flowed
from triptych.diffusion.multistep import unipc
from triptych.diffusion.samplers import Denoiser, Sampler
from triptych.diffusion.walks import SAMPLERS
from truths.exact import gaussian, variance_of
from truths.steps import LAMBDA, one_step_each


def encoding(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw) -> Tensor:
    """The flow of `encode` and `decode`, which has levels of its own between the ends."""
    return flowed(denoise, y, levels[0].item(), levels[-1].item(), len(levels) - 1)[0]


class Order(NamedTuple):
    """What is known of how fast a sampler converges, and where that is seen.

    Levels are even in ln s, and neither end is zero. A long walk from noise hides what the first, lower steps of
    `unipc` cost: its own order is one more there.
    """

    sampler: Sampler
    theory: int
    why: str
    steps: int = 64  # the fewest; the slope is taken to four times as many
    top: float = 1.0
    low: float = 0.25

    def error(self, steps: int) -> float:
        """How far the variance is from the data's, as a share of it: where noise is drawn, the weak error."""
        levels = torch.linspace(math.log(self.top), math.log(self.low), steps + 1, dtype=torch.float64).exp()
        v = variance_of(self.sampler, levels, LAMBDA + self.top**2, gaussian(LAMBDA))
        return abs(v / (LAMBDA + self.low**2) - 1)

    def slope(self) -> float:
        """Of the logarithm of the error over that of the number of steps, with its sign turned."""
        return math.log2(self.error(self.steps) / self.error(4 * self.steps)) / 2


ORDERS = {
    "ancestral": Order(SAMPLERS["ancestral"], 1, "the noise of a step is right to the first order"),
    "ancestral-large": Order(SAMPLERS["ancestral-large"], 1, "the same"),
    "ddim": Order(SAMPLERS["ddim"], 1, "Euler"),
    "heun": Order(SAMPLERS["heun"], 2, "the mean of two slopes"),
    "dpm++2m": Order(SAMPLERS["dpm++2m"], 2, "a line through two estimates"),
    "dpm++sde": Order(SAMPLERS["dpm++sde"], 2, "the same, and its noise is exact"),
    "unipc, order 1": Order(partial(unipc, order=1), 2, "corrected: one more"),
    "unipc, order 2": Order(partial(unipc, order=2), 3, "corrected: one more"),
    "unipc": Order(SAMPLERS["unipc"], 3, "4, but for the first step, which is of order 2"),
    "ipndm": Order(SAMPLERS["ipndm"], 2, "4, but for the first step, which is Euler's"),
    "rk45": Order(one_step_each, 5, "Dormand and Prince, its steps held even", 128, 10.0, 0.01),
    "encode, decode": Order(encoding, 4, "Runge and Kutta", 32),
}


def table(orders: Mapping[str, Order] = ORDERS) -> str:
    """A row for each: order in theory, slope, errors."""
    lines = [f"{'sampler':17}{'theory':>7}{'slope':>7}   {'error at so many steps':46}why"]
    for name, one in orders.items():
        errors = [f"{n}: {one.error(n):.2g}" for n in (one.steps, 2 * one.steps, 4 * one.steps)]
        lines.append(f"{name:17}{one.theory:7}{one.slope():7.2f}   {', '.join(errors):46}{one.why}")
    return "\n".join(lines)
