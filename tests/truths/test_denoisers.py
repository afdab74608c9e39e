"""The best estimate of a clean image where the data are Gaussians, and what the loss comes down to there."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from triptych import chance
from triptych.core import NOTHING, Batch, Given
from triptych.diffusion.levels import log_normal
from triptych.diffusion.model import Diffusion
from triptych.diffusion.objective import Denoising
from triptych.diffusion.paths import exploding
from triptych.diffusion.scaling import edm, x0
from triptych.nets.unet import UNet
from truths.exact import correlated, gaussian, mixture

Y = torch.linspace(-3, 3, 13, dtype=torch.float64).view(-1, 1, 1, 1)
SHARES, MEANS = (0.2, 0.5, 0.3), (-1.0, 0.3, 1.7)


@pytest.mark.parametrize("s", [0.3, 1.0, 4.0])
def test_the_estimate_is_the_mean_of_what_may_be_under_the_noise(s: float) -> None:
    """Of a mixture: against the integral of x p(x) N(y; x, s^2) over that of p(x) N(y; x, s^2), to 1e-12."""
    x, spread = torch.linspace(-12, 12, 2_401, dtype=torch.float64), 0.2
    log_p = torch.stack([math.log(w) - (x - m) ** 2 / (2 * spread**2) for w, m in zip(SHARES, MEANS, strict=True)])
    weights = (log_p.logsumexp(0) - (Y.view(-1, 1) - x) ** 2 / (2 * s * s)).softmax(1)
    found = mixture(SHARES, MEANS, spread**2)(Y, torch.full((len(Y),), s, dtype=torch.float64))
    torch.testing.assert_close(found.flatten(), weights @ x, rtol=0, atol=1e-12)


def test_a_gaussian_is_a_mixture_of_one_and_its_values_may_depend_on_each_other() -> None:
    s = torch.full((len(Y),), 0.7, dtype=torch.float64)
    torch.testing.assert_close(gaussian(0.25, 0.4)(Y, s), mixture([1.0], [0.4], 0.25)(Y, s), rtol=0, atol=1e-13)
    variances, axes = torch.tensor([2.0, 0.3, 0.01]).double(), torch.linalg.qr(torch.randn(3, 3).double()).Q
    y, mean, s = torch.randn(5, 3, 1, 1).double(), torch.randn(3).double(), s[:5]
    turned = ((y.flatten(1) - mean) @ axes).view_as(y)  # along the axes each value is on its own
    apart = gaussian(variances.view(3, 1, 1))(turned, s).flatten(1) @ axes.T + mean
    together = correlated(mean, axes * variances @ axes.T)(y, s)
    torch.testing.assert_close(together.flatten(1), apart, rtol=0, atol=1e-13)


def untrained(deviation: float) -> Diffusion:
    """A U-Net whose last layer is zero, as it is before the first step, in the coordinates of Karras et al."""
    net = partial(UNet, width=8, blocks=1)
    return Diffusion(net, exploding(), edm(deviation), (1, 8, 8)).double()


@pytest.mark.parametrize("s", [0.002, 0.5, 3.0, 80.0])
def test_an_untrained_network_is_the_best_for_gaussian_images(s: float) -> None:
    """With Karras et al.'s scaling the answer that is left to the network is 0, to 1e-13."""
    y = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    level = torch.full((3,), s, dtype=torch.float64).clamp(min=float(exploding().table.float()[0]))
    torch.testing.assert_close(untrained(0.5).denoise(y, level), gaussian(0.25)(y, level), rtol=0, atol=1e-13)


def test_and_its_loss_is_one_at_every_level() -> None:
    """Within five standard errors, whatever the level: it cannot fall, for nothing is left to learn."""
    model, images = untrained(0.5), 150
    for level in (0.01, 0.5, 20.0):
        chance.reseed(0)
        data = Batch(0.5 * torch.randn(images, 1, 8, 8, dtype=torch.float64))
        (turn,) = Denoising(levels=log_normal(math.log(level), 1e-6)).turns(model)
        losses, stats = turn.loss(data, 0)
        floor = 0.25 * level**2 / (0.25 + level**2)
        assert losses.mean().item() == pytest.approx(1, abs=5 * math.sqrt(2 / data.images.numel()))
        assert stats["clean"].item() == pytest.approx(floor, rel=5 * math.sqrt(2 / data.images.numel()))


class Gain(nn.Module):
    """D = gain x, which is all that a Gaussian of mean 0 takes at one level."""

    def __init__(self, **facts: object) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        return self.gain * x


@pytest.mark.parametrize("s", [0.3, 1.0])
def test_training_comes_down_to_the_floor(s: float) -> None:
    """The mean square error of D = a y is (1 - a)^2 L + a^2 s^2, and at best L s^2 / (L + s^2): within 2%."""
    variance = 0.25
    model = Diffusion(Gain, exploding(), x0, (1, 1, 1)).double()
    (turn,) = Denoising(levels=log_normal(math.log(s), 1e-6)).turns(model)
    optimiser = torch.optim.Adam(turn.moves, 0.02)
    for step in range(150):
        chance.reseed(step)
        losses, _ = turn.loss(Batch(variance**0.5 * torch.randn(512, 1, 1, 1, dtype=torch.float64)), 0)
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
    a = model.net.gain.item() / math.hypot(1, s)  # type: ignore[union-attr,operator]  # what `x0` shows is y / sqrt(1 + s^2)
    risk, floor = (1 - a) ** 2 * variance + a * a * s * s, variance * s * s / (variance + s * s)
    assert floor <= risk < 1.02 * floor
