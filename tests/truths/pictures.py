"""What `docs/truths.md` shows: numbers of the code beside numbers of formulas, as series of the report's charts.

`tools/draw_truths.py` writes them to `docs/pictures/`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.diffusion.adaptive import rk45
from triptych.diffusion.guidance import guided
from triptych.gan.games import minimax, wasserstein
from triptych.gan.penalties import r1
from triptych.metrics import fid
from triptych.metrics.kernel import kid
from triptych.metrics.moments import Moments
from triptych.report.drawing import MARKS, Series, drawn
from triptych.report.html import render
from truths import affine, critics, dirac
from truths.exact import STILL, gaussian, guided_factor, mixture
from truths.features import cubic_distance, frechet_bias, normal
from truths.orders import ORDERS
from truths.steps import LAMBDA, STEPS, levels_of

ABOVE = 26  # room for the title of the axis up


def denoiser() -> list[Series]:
    """The estimate of an image of one value, for two kinds of images, at three levels."""
    y = torch.linspace(-3, 3, 61, dtype=torch.float64)
    estimate = mixture([0.5, 0.5], [-1.0, 1.0], 0.01)
    levels = (0.3, 1.0, 3.0)
    found = [estimate(y.view(-1, 1, 1, 1), torch.full_like(y, s)).flatten().tolist() for s in levels]
    return [
        Series(f"level {s:g}", style, list(zip(y.tolist(), values, strict=True)))
        for style, (s, values) in enumerate(zip(levels, found, strict=True))
    ]


def steps() -> list[Series]:
    """The spread of samples over that of the data, for few steps and many."""
    names, numbers = ("ancestral", "ddim", "heun", "dpm++2m", "unipc", "dpm++sde"), (5, 7, 10, 14, 20, 28, 40, 56, 80)

    def spread(name: str, number: int) -> float:
        return (STEPS[name].variance(levels_of(name, number)) / LAMBDA) ** 0.5

    return [Series(name, style, [(n, spread(name, n)) for n in numbers]) for style, name in enumerate(names)]


def orders() -> list[Series]:
    """The error of a walk, as a power of ten, over the number of steps."""
    names = ("ancestral", "ddim", "heun", "dpm++sde", "unipc", "encode, decode")
    return [
        Series(name, style, [(n, math.log10(ORDERS[name].error(n))) for n in (8, 16, 32, 64)])
        for style, name in enumerate(names)
    ]


def guidance() -> list[Series]:
    """The spread of guided samples of a class of N(0, 0.3) among images of N(0, 0.5), over that of its own."""
    top, low, own, all_ = 20.0, 0.01, 0.3, 0.5
    levels, y = torch.tensor([top, low], dtype=torch.float64), torch.full((1, 1, 1, 1), top, dtype=torch.float64)
    scales = [0.5 * k for k in range(9)]

    def end(scale: float, other: float) -> float:
        steered = guided(gaussian(own), (gaussian(other), scale))
        return rk45(steered, y, levels, STILL, 1e-6, 1e-6).item() / math.sqrt(own)

    return [
        Series("followed", 0, [(scale, end(scale, all_)) for scale in scales]),
        Series("formula", 1, [(w, top * guided_factor(w, own, all_, top, low) / math.sqrt(own)) for w in scales]),
        Series("equal variances", 2, [(scale, end(scale, own)) for scale in scales]),
    ]


def game() -> list[Series]:
    """The distance from the equilibrium of the Dirac-GAN, turn by turn."""
    plays = {
        "wasserstein, at once": dirac.radii(wasserstein, 0.1, 301, alternating=False),
        "minimax, at once": dirac.radii(minimax, 0.1, 301, alternating=False),
        "minimax, in turn": dirac.radii(minimax, 0.1, 301, alternating=True),
        "with R1, in turn": dirac.radii(minimax, 0.1, 301, alternating=True, penalty=r1(0.4)),
    }
    return [
        Series(name, style, [(n, radii[n]) for n in range(0, 301, 6)])
        for style, (name, radii) in enumerate(plays.items())
    ]


def critic() -> list[Series]:
    """What critics of N(0, 1) against N(shift, 1) reach: the best one, and two that are not."""
    shifts = [0.25 * k for k in range(25)]

    def reached(shift: float, bend: float, scale: float) -> float:
        p, q = (shift, 1.0), (0.0, 1.0)
        best = critics.best_logit(p, q)
        return critics.value(lambda x: scale * best(x) + bend * torch.sin(x), p, q)

    return [
        Series("the best", 0, [(shift, reached(shift, 0, 1)) for shift in shifts]),
        Series("half its logit", 1, [(shift, reached(shift, 0, 0.5)) for shift in shifts]),
        Series("a wave on it", 2, [(shift, reached(shift, 1, 1)) for shift in shifts]),
    ]


def bound() -> list[Series]:
    """The evidence lower bound of probabilistic PCA over the variance of its encoder, beside the likelihood."""
    variances = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.1], dtype=torch.float64)
    x, shares = affine.whitened(256, variances)[:, :, None, None], [2 ** (k / 4) for k in range(-8, 9)]
    truth = affine.highest_likelihood(variances, 2)

    def with_posterior(share: float) -> float:
        model = affine.best_vae(variances, torch.eye(5, dtype=torch.float64), 2)
        with torch.no_grad():
            exact: Tensor = model.posterior(x).log_variance[0]
            model.encoder.log_variance.copy_(affine.hidden(exact + math.log(share)))
        return affine.bound(model, x)

    return [
        Series("the likelihood", 0, [(share, truth) for share in shares]),
        Series("the bound", 1, [(share, with_posterior(share)) for share in shares]),
    ]


def frechet() -> list[Series]:
    """The Fréchet distance of two sets from the same Gaussian, over the number of images in each."""
    numbers, series = [100, 200, 400, 800, 1600, 3200], list[Series]()
    for style, d in enumerate((16, 64)):
        sets = [[Moments.of(normal(n, d, seed=seed)) for seed in (0, 1)] for n in numbers]
        measured = [fid.frechet(*pair) for pair in sets]
        series += [
            Series(f"{d} features, measured", 2 * style, list(zip(numbers, measured, strict=True))),
            Series(f"{d}, formula", 2 * style + 1, [(n, frechet_bias(d, n, n)) for n in numbers]),
        ]
    return series


def kernel() -> list[Series]:
    """The kernel distance of N(0, I) and N(shift, I) in 8 dimensions, 1,000 images each, with its intervals."""
    shifts, zero = [0.1 * k for k in range(9)], torch.zeros(8, dtype=torch.float64)
    found = [kid(normal(1000, 8), normal(1000, 8, seed=1) + shift) for shift in shifts]
    measured = [(shift, one.value) for shift, one in zip(shifts, found, strict=True)]
    return [
        Series("measured", 0, measured, [(one.low, one.high) for one in found], whiskers=True),
        Series("expectation", 1, [(shift, cubic_distance(zero, zero + shift)) for shift in shifts]),
    ]


class Picture(NamedTuple):
    """A chart: its series, the titles of the axes across and up, and how the one across is drawn."""

    series: Callable[[], Sequence[Series]]
    titles: tuple[str, str]
    log: bool = False
    start: float | None = None

    def svg(self) -> str:
        chart = drawn(self.series(), self.titles, self.log, self.start)[0]
        shape = chart.shape
        size = {
            "width": shape.left + shape.width + chart.room,
            "height": ABOVE + shape.top + shape.height + shape.bottom,
        }
        return render("chart.svg", chart=chart, above=ABOVE, marks=MARKS, **size)


PICTURES = {
    "denoiser": Picture(denoiser, ("the noisy value", "the estimate of the clean one")),
    "steps": Picture(steps, ("steps", "spread of samples, 1 is right"), log=True),
    "orders": Picture(orders, ("steps", "error of the variance, as a power of ten"), log=True),
    "guidance": Picture(guidance, ("scale of guidance", "spread, 1 is the class's own")),
    "game": Picture(game, ("steps", "distance from the equilibrium")),
    "critic": Picture(critic, ("how far apart the means are", "what the critic reaches")),
    "bound": Picture(bound, ("variance of the encoder, 1 is exact", "nats an image"), log=True),
    "frechet": Picture(frechet, ("images in each set", "Fréchet distance, true value 0"), log=True),
    "kernel": Picture(kernel, ("shift of each feature", "kernel distance")),
}
