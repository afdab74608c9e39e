"""Every sampler that has a name, with the law of its steps and the number that comes of 18 of them."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.adaptive import rk45
from triptych.diffusion.samplers import Denoiser, Sampler, ddim, heun
from triptych.diffusion.schedules import karras
from triptych.diffusion.walks import SAMPLERS
from truths import laws
from truths.exact import gaussian, leap, variance_of

LAMBDA = 0.25
START = 80.0**2
EDM = torch.tensor([0.002, 80.0], dtype=torch.float64)


FINE = torch.cat([torch.linspace(math.log(80), math.log(0.002), 120, dtype=torch.float64).exp(), torch.zeros(1)])


def one_step_each(denoise: Denoiser, y: Tensor, levels: Tensor, draw: Draw) -> Tensor:
    """`rk45` with no error too large, so that each two levels less than 0.1 apart in ln s are one step."""
    for pair in levels.unfold(0, 2, 1):
        y = rk45(denoise, y, pair, draw, atol=math.inf)
    return y


class Steps(NamedTuple):
    """A sampler, what is known of its steps, and what comes of 18 of them."""

    sampler: Sampler
    law: laws.Law
    golden: float  # the spread of samples over that of the data: 18 steps of Karras et al., from N(0, 80^2)
    denoise: Denoiser = gaussian(LAMBDA)

    def variance(self, levels: Tensor) -> float:
        """Of what comes out where N(0, 80^2) goes in, and the data are N(0, LAMBDA)."""
        return variance_of(self.sampler, levels, START, self.denoise)


STEPS = {
    "ancestral": Steps(SAMPLERS["ancestral"], laws.ancestral, 0.7356911984321),
    "ancestral-large": Steps(SAMPLERS["ancestral-large"], partial(laws.ancestral, large=True), 1.1517889891168),
    "ddim": Steps(SAMPLERS["ddim"], laws.euler, 0.8460628728160),
    "ddim, eta 0.5": Steps(partial(ddim, eta=0.5), partial(laws.ancestral, eta=0.5), 0.8256426452771),
    "euler": Steps(SAMPLERS["euler"], laws.euler, 0.8460628728160),
    "heun": Steps(SAMPLERS["heun"], laws.heun, 1.0552492740021),
    "heun, churned": Steps(
        partial(heun, churn=40.0), partial(laws.churned, churn=40.0, noise=1.003, low=0.05, high=50.0), 1.1280997797939
    ),
    "dpm++2m": Steps(SAMPLERS["dpm++2m"], laws.dpm, 1.0622801488371),
    "dpm++sde": Steps(SAMPLERS["dpm++sde"], partial(laws.dpm, eta=1.0), 1.1312631996128),
    "unipc": Steps(SAMPLERS["unipc"], laws.unipc, 0.9364835333499),
    "unipc, order 2": Steps(partial(SAMPLERS["unipc"], order=2), partial(laws.unipc, order=2), 1.0483684100362),
    "ipndm": Steps(SAMPLERS["ipndm"], laws.ipndm, 1.0208051770403),
    "rk45": Steps(one_step_each, laws.runge_kutta, 0.9999724762673),
    "consistency": Steps(SAMPLERS["consistency"], laws.consistent, 1.0000000000000, leap(LAMBDA)),
    "average": Steps(SAMPLERS["average"], laws.exact, 0.9999804693222, leap(LAMBDA)),
}


def levels_of(name: str, steps: int = 18) -> Tensor:
    """Those of Karras et al. from 80 to 0.002, then 0; `rk45` takes many small ones."""
    return FINE if name == "rk45" else karras(EDM, steps)


def table() -> str:
    """The spread of samples over that of the data, by the sampler and by its law."""
    lines = [f"{'sampler':17}{'sampled':>17}{'law':>17}"]
    for name, one in STEPS.items():
        levels = levels_of(name)
        found, exact = one.variance(levels), one.law(levels.tolist(), LAMBDA, START)
        lines.append(f"{name:17}{(found / LAMBDA) ** 0.5:17.13f}{(exact / LAMBDA) ** 0.5:17.13f}")
    return "\n".join(lines)
