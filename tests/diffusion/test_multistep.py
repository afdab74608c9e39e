"""Samplers that remember, on Gaussian data and mixtures of them, and beside other people's code."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.multistep import dpm, ipndm, unipc
from triptych.diffusion.paths import exploding, linear, walk
from triptych.diffusion.samplers import Denoiser, Sampler, ddim
from triptych.diffusion.schedules import karras
from truths.exact import gaussian, mixture

LAMBDA, TOP, LOW = 0.25, 10.0, 0.01
GAUSSIAN = gaussian(LAMBDA)
Y = TOP * torch.tensor([-1.3, 0.2, 0.9], dtype=torch.float64).view(3, 1, 1, 1)


def down(steps: int) -> Tensor:
    """Even in ln s, with an end above 0."""
    return torch.linspace(math.log(TOP), math.log(LOW), steps + 1, dtype=torch.float64).exp()


def test_dpm_steps_are_the_paper_s() -> None:
    """For D = L / (L + s^2) y each step is linear in y and the two last estimates: algorithm 2 by hand."""
    levels = down(7)
    y, before, h_before = 1.0, None, 0.0
    for s, t in pairwise(levels.tolist()):
        clean, h = LAMBDA / (LAMBDA + s * s) * y, math.log(s / t)
        ahead = clean if before is None else (1 + h / (2 * h_before)) * clean - h / (2 * h_before) * before
        y, before, h_before = t / s * y - math.expm1(-h) * ahead, clean, h
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    assert dpm(GAUSSIAN, one, levels, Draw(())).item() == pytest.approx(y, rel=1e-12)


class Noise(Draw):
    """Counts what is drawn."""

    drawn = 0

    def normal(self, *shape: int) -> Tensor:
        self.drawn += 1
        return super().normal(*shape)


def test_the_sde_form_keeps_the_spread_and_draws_at_each_step() -> None:
    """From the exact marginal at TOP to that at LOW: the variance is the data's, within five standard errors."""
    draw, steps, images = Noise(range(400)), 60, 400
    y = math.sqrt(LAMBDA + TOP**2) * Draw(range(1000, 1000 + images)).normal(1, 8, 8).double()
    out = dpm(GAUSSIAN, y, down(steps), draw, eta=1.0)
    assert draw.drawn == steps
    n = out.numel()
    assert out.var().item() == pytest.approx(LAMBDA + LOW**2, rel=5 * math.sqrt(2 / n) + 5e-3)
    assert torch.equal(dpm(GAUSSIAN, Y, down(5), Draw(()), eta=0.0), dpm(GAUSSIAN, Y, down(5), Draw(())))


@pytest.mark.parametrize("sampler", [dpm, partial(dpm, eta=1.0), unipc, partial(unipc, order=4), ipndm])
@pytest.mark.parametrize("steps", [1, 2, 5, 30])
def test_a_known_image_is_found(sampler: Sampler, steps: int) -> None:
    """Where the data are one point, every sampler ends on it, in however few steps."""
    point = torch.randn(1, 3, 2, 2, dtype=torch.float64)
    y = 100 * torch.randn(2, 3, 2, 2, dtype=torch.float64)
    found = sampler(lambda y, s: point.expand_as(y), y, walk(linear().table, steps), Draw([0, 1]))
    torch.testing.assert_close(found, point.expand_as(y), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("sampler", "asked"), [(dpm, 9), (unipc, 9), (ipndm, 9)])
def test_each_step_asks_once(sampler: Sampler, asked: int) -> None:
    calls: list[float] = []

    def denoise(y: Tensor, s: Tensor) -> Tensor:
        calls.append(s[0].item())
        return GAUSSIAN(y, s)

    sampler(denoise, Y, karras(exploding().table, 9), Draw(()))
    assert len(calls) == asked
    assert calls == sorted(calls, reverse=True)


# --- an outside witness -------------------------------------------------------------------------------------------


def told(name: str, **values: object) -> object:
    diffusers = pytest.importorskip("diffusers")
    betas = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
    return getattr(diffusers, name)(**betas, **values)


def outside(scheduler: object, denoise: Denoiser, z: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """What the scheduler of diffusers makes of noise z (x_T of its path), and the levels that it walked."""
    scheduler.set_timesteps(steps)  # type: ignore[attr-defined]
    bar, x, levels = scheduler.alphas_cumprod.double(), z, []  # type: ignore[attr-defined]
    for t in scheduler.timesteps:  # type: ignore[attr-defined]
        alpha = bar[int(t)].sqrt()
        s = (1 / bar[int(t)] - 1).sqrt()
        levels.append(s)
        y = x / alpha
        noise = (y - denoise(y, s.expand(len(y)))) / s
        x = scheduler.step(noise, t, x).prev_sample  # type: ignore[attr-defined]
    return x, torch.stack([*levels, torch.zeros((), dtype=torch.float64)])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("denoise", [GAUSSIAN, mixture([0.5, 0.5], [-1.0, 1.0], 0.04)], ids=["gaussian", "bumps"])
@pytest.mark.parametrize(
    ("name", "values", "sampler"),
    [
        ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": True}, ddim),
        (
            "DPMSolverMultistepScheduler",
            {
                "algorithm_type": "dpmsolver++",
                "solver_order": 2,
                "final_sigmas_type": "zero",
                "lower_order_final": True,
            },
            dpm,
        ),
        (
            "UniPCMultistepScheduler",
            {"solver_order": 2, "solver_type": "bh2", "final_sigmas_type": "zero"},
            partial(unipc, order=2),
        ),
        ("UniPCMultistepScheduler", {"solver_order": 3, "solver_type": "bh2", "final_sigmas_type": "zero"}, unipc),
    ],
    ids=["ddim", "dpm++2m", "unipc of order 2", "unipc of order 3"],
)
def test_diffusers_walks_the_same_way(
    name: str, values: dict[str, object], sampler: Sampler, denoise: Callable[[Tensor, Tensor], Tensor]
) -> None:
    """The same network and levels: end points agree to 1e-5."""
    z = torch.linspace(-2, 2, 7, dtype=torch.float64).view(7, 1, 1, 1)
    for steps in (5, 12, 40):
        theirs, levels = outside(told(name, **values), denoise, z, steps)
        ours = sampler(denoise, z * (1 + levels[0] ** 2).sqrt(), levels, Draw(()))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
