"""Every sampler that has a name: what holds of all of them, on mixtures whose denoiser is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.schedules import karras
from triptych.diffusion.walks import FITTED, LEAST, SAMPLERS, enough
from triptych.errors import UsageError

TABLE = torch.tensor([0.002, 80.0], dtype=torch.float64)
POINTS = torch.tensor([[0.9, -0.4], [-0.7, 0.1], [0.2, 0.8]], dtype=torch.float64)
WALKS = [name for name in SAMPLERS if name not in ("consistency", "average")]  # see test_jumps.py
QUIET = [*FITTED, "rk45"]
LAMBDA = 0.25


def mixture(variance: float) -> object:
    """Equal shares of N(point, variance), images (2, 1, 1); without variance the points themselves."""

    def denoise(y: Tensor, s: Tensor) -> Tensor:
        flat, noise = y.flatten(1)[:, None], s.double().square()[:, None]  # (B, 1, 2), (B, 1)
        shares = (-(flat - POINTS).square().sum(2) / (2 * (variance + noise))).softmax(1)  # (B, 3)
        pull = (variance / (variance + noise))[..., None]
        return (shares[..., None] * (POINTS + pull * (flat - POINTS))).sum(1).view_as(y).to(y)

    return denoise


def noise(*seeds: int) -> Tensor:
    return 80 * Draw(seeds).normal(2, 1, 1).double()


@pytest.mark.parametrize("name", WALKS)
def test_images_known_by_heart_are_returned(name: str) -> None:
    """With the data a few points, samples are these points; ipndm extrapolates to 0, and lands near them."""
    made = SAMPLERS[name](mixture(0), noise(*range(12)), karras(TABLE, 40), Draw(range(12)))  # type: ignore[arg-type]
    apart = torch.cdist(made.flatten(1), POINTS)
    assert float(apart.min(1).values.max()) < (0.05 if name == "ipndm" else 1e-6)
    assert len(set(apart.argmin(1).tolist())) == len(POINTS)


@pytest.mark.parametrize("name", WALKS)
def test_an_image_follows_its_seed_whatever_the_batch(name: str) -> None:
    """Together and alone, to 1e-10."""
    seeds, levels, walk = (3, 1, 4, 15), karras(TABLE, 9), SAMPLERS[name]
    together = walk(mixture(0.02), noise(*seeds), levels, Draw(seeds))  # type: ignore[arg-type]
    alone = [walk(mixture(0.02), noise(seed), levels, Draw([seed])) for seed in seeds]  # type: ignore[arg-type]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", WALKS)
def test_factors_are_exact_whatever_the_images_are(name: str) -> None:
    """In float32 the walk is that of float64, but for what its images round."""
    walk, levels = SAMPLERS[name], karras(TABLE, 12)
    fine = walk(mixture(0.02), noise(0, 1, 2), levels, Draw(range(3)))  # type: ignore[arg-type]
    coarse = walk(mixture(0.02), noise(0, 1, 2).float(), levels, Draw(range(3)))  # type: ignore[arg-type]
    assert coarse.dtype == torch.float32
    torch.testing.assert_close(coarse.double(), fine, rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", QUIET)
def test_those_that_draw_nothing_follow_the_flow(name: str) -> None:
    """With none of the ends at zero: a Gaussian keeps its place, and its spread shrinks as the flow's does."""

    def gaussian(y: Tensor, s: Tensor) -> Tensor:
        return LAMBDA / (LAMBDA + s.view(-1, 1, 1, 1) ** 2) * y

    levels = torch.linspace(math.log(10.0), math.log(0.01), 401, dtype=torch.float64).exp()
    y = noise(0, 1, 2) / 8
    exact = math.sqrt((LAMBDA + 0.01**2) / (LAMBDA + 10.0**2)) * y
    torch.testing.assert_close(SAMPLERS[name](gaussian, y, levels, Draw(())), exact, rtol=5e-3, atol=0)


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("name", WALKS)
def test_how_often_the_network_is_asked(name: str, steps: int) -> None:
    asked = []

    def denoise(y: Tensor, s: Tensor) -> Tensor:
        asked.append(s[0].item())
        return mixture(0.02)(y, s)  # type: ignore[operator, no-any-return]

    SAMPLERS[name](denoise, noise(0), karras(TABLE, steps), Draw([0]))
    assert name == "rk45" or len(asked) == (2 * steps - 1 if name == "heun" else steps)
    assert all(0.00199 < level < 80.01 for level in asked)


def test_too_few_steps_are_refused() -> None:
    assert set(LEAST) <= set(SAMPLERS)
    for name in SAMPLERS:
        least = LEAST.get(name, 1)
        assert len(enough(name, karras(TABLE, least))) == least + 1
    with pytest.raises(UsageError, match="rk45 was asked to take 1 step; give 2 or more"):
        enough("rk45", karras(TABLE, 1))
