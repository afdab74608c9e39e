"""What a walk may be asked for by name: samplers, and the schedules of levels that they take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from triptych.diffusion import adaptive, jumps, multistep, paths, samplers, schedules
from triptych.diffusion.samplers import Denoiser, Sampler
from triptych.errors import UsageError, nearest

Watch = Callable[[Tensor, Tensor], None]  # levels (B,), estimates (B, C, H, W)
SAMPLERS: dict[str, Sampler] = {
    "ancestral": samplers.ancestral,
    "ancestral-large": partial(samplers.ancestral, variance=samplers.large),
    "ddim": samplers.ddim,
    "euler": samplers.ddim,
    "heun": samplers.heun,
    "dpm++2m": multistep.dpm,
    "dpm++sde": partial(multistep.dpm, eta=1.0),
    "unipc": multistep.unipc,
    "ipndm": multistep.ipndm,
    "rk45": adaptive.rk45,
    "consistency": jumps.consistency,
    "average": jumps.average,
}
FITTED = ("ddim", "euler", "heun", "dpm++2m", "unipc", "ipndm")  # draw nothing, and ask at the levels and nowhere else
LEAST = {"rk45": 2}  # steps, where one does not do: rk45 flows to the last level above 0, and takes one step more
SCHEDULES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "uniform": paths.walk,
    "karras": schedules.karras,
    "log-snr": schedules.log_snr,
}


def known(name: str, menu: Mapping[str, object]) -> str:
    """The name, or a sentence where the menu does not have it."""
    if name not in menu:
        what = "sampler" if menu is SAMPLERS else "schedule"
        raise UsageError(f"There is no {what} {name!r}; {nearest(name, menu)}")
    return name


def enough(sampler: str, levels: Tensor) -> Tensor:
    """The levels themselves; a sentence where they are too few for a sampler."""
    least, steps = LEAST.get(known(sampler, SAMPLERS), 1), len(levels) - 1
    if steps < least:
        raise UsageError(f"{sampler} was asked to take {steps} step{'s' * (steps != 1)}; give {least} or more.")
    return levels


def watched(denoise: Denoiser, watch: Watch) -> Denoiser:
    """The same denoiser, whose every answer is shown to `watch`."""

    def answer(y: Tensor, s: Tensor, *until: Tensor) -> Tensor:
        clean = denoise(y, s, *until)
        watch(s, clean)
        return clean

    return answer


def checked(levels: Tensor, table: Tensor) -> Tensor:
    """The levels themselves; a sentence where they do not fall within a table, or not from its top."""
    top, bottom = table[-1].item(), levels[-1].item() if levels.ndim == 1 and len(levels) > 1 else -1.0
    if bottom < 0 or not bool((levels.diff() < 0).all()) or not 0.999 * top <= levels[0].item() <= 1.001 * top:
        raise UsageError(f"These are no levels to walk: give two or more that fall from {top:.4g} to 0.")
    return levels
