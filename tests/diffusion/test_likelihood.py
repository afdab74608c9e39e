"""Likelihoods of data whose denoiser is known in closed form: Gaussians, a mixture, uniform noise."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from triptych.chance import Draw
from triptych.diffusion.flow import flowed
from triptych.diffusion.likelihood import (
    FLOOR,
    LAST,
    STEP,
    all_directions,
    along_flow,
    ancestral,
    dequantised,
    levels,
    log_density,
    log_mass,
    random_directions,
    told,
    variational,
)
from triptych.diffusion.paths import linear
from triptych.diffusion.samplers import Denoiser, large, small
from triptych.pixels import to_float

MEAN = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
COVARIANCE = torch.tensor([[0.5, 0.2, -0.1], [0.2, 0.3, 0.05], [-0.1, 0.05, 0.8]], dtype=torch.float64)
UNIT = torch.eye(3, dtype=torch.float64)


def gaussian(mean: Tensor, covariance: Tensor) -> Denoiser:
    """D = mean + covariance (covariance + s^2)^-1 (y - mean), for one level at a time."""

    def denoise(y: Tensor, s: Tensor) -> Tensor:
        gain = covariance @ torch.linalg.inv(covariance + s[0] ** 2 * torch.eye(len(mean), dtype=torch.float64))
        return (mean + (y.flatten(1) - mean) @ gain.T).view(y.shape)

    return denoise


def plain(variance: float) -> Denoiser:
    return lambda y, s: variance / (variance + s.view(-1, 1, 1, 1) ** 2) * y


def mixture(y: Tensor, s: Tensor) -> Tensor:
    """Halves of N(-0.4, 0.05^2) and N(0.3, 0.1^2), of independent values."""
    means, spreads = torch.tensor([-0.4, 0.3], dtype=torch.float64), torch.tensor([0.05, 0.1], dtype=torch.float64)
    total = spreads**2 + s.view(-1, 1, 1, 1, 1) ** 2  # (B, 1, 1, 1, 2)
    away = y[..., None] - means
    shares = (-(away**2) / (2 * total) - total.log() / 2).softmax(-1)
    return (shares * (means + spreads**2 / total * away)).sum(-1)


def mixed(y: Tensor, s: float) -> Tensor:
    """log p of values of the mixture at level s."""
    parts = [torch.distributions.Normal(m, math.hypot(d, s)).log_prob(y) for m, d in ((-0.4, 0.05), (0.3, 0.1))]
    return torch.stack(parts).logsumexp(0) - math.log(2)


def uint8(*values: int) -> Tensor:
    """One image for each value, (B, 1, 1, 1) float64."""
    return to_float(torch.tensor(values, dtype=torch.uint8).view(-1, 1, 1, 1)).double()


def rows(count: int) -> Tensor:
    return MultivariateNormal(MEAN, COVARIANCE).sample((count,)).view(count, 3, 1, 1)


def test_the_density_is_the_gaussian_s() -> None:
    """log N(y; mean, covariance + s^2 I) to 1e-8, where the density at the top is the data's own."""
    torch.manual_seed(0)
    y, top = rows(20), 80.0
    z, change = flowed(gaussian(MEAN, COVARIANCE), y, FLOOR, top, 400, list(all_directions(y)))
    found = MultivariateNormal(MEAN, COVARIANCE + top**2 * UNIT).log_prob(z.flatten(1)) - change
    truth = MultivariateNormal(MEAN, COVARIANCE + FLOOR**2 * UNIT).log_prob(y.flatten(1))
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-8)


def test_the_top_is_where_sampling_starts() -> None:
    """Of N(0, (1 + S^2) I) the exact flow makes N(mean - A mean, (1 + S^2) A^2), at a low top."""
    torch.manual_seed(0)
    y, top = rows(20), 5.0
    values, vectors = torch.linalg.eigh(COVARIANCE)
    shrink = vectors @ torch.diag(((values + FLOOR**2) / (values + top**2)).sqrt()) @ vectors.T
    found = log_density(gaussian(MEAN, COVARIANCE), y, FLOOR, top, 400, all_directions(y))
    made = MultivariateNormal(MEAN - shrink @ MEAN, (1 + top**2) * shrink @ shrink)
    torch.testing.assert_close(found, made.log_prob(y.flatten(1)), rtol=0, atol=1e-8)


def test_random_traces_are_right_on_average() -> None:
    """Within 5 standard errors, of a Gaussian whose values depend on each other."""
    torch.manual_seed(0)
    y = rows(1).expand(4000, 3, 1, 1)
    denoise = gaussian(MEAN, COVARIANCE)
    found = log_density(denoise, y, FLOOR, 80.0, 12, random_directions(y, Draw(range(4000))))
    truth = log_density(denoise, y[:1], FLOOR, 80.0, 12, all_directions(y[:1]))
    assert found.std() > 0.1
    assert abs(found.mean() - truth) < 5 * found.std() / math.sqrt(4000)


def test_the_density_is_the_mixture_s() -> None:
    """To what the start from N(0, (1 + S^2) I) misses of it."""
    y = torch.linspace(-0.7, 0.7, 29, dtype=torch.float64).view(-1, 1, 1, 1)
    found = log_density(mixture, y, FLOOR, 1e4, 300, all_directions(y))
    torch.testing.assert_close(found, mixed(y.flatten(), FLOOR), rtol=0, atol=1e-4)


def test_a_value_s_probability_is_an_integral_over_its_bin() -> None:
    """Against 2,000 strips; one draw is a lower bound on average, many are the integral."""
    x = uint8(60, 90, 127, 150, 190)
    strips = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000 - 0.5
    truth = mixed(x.view(-1, 1) + STEP * strips, FLOOR).exp().mean(1).log() + math.log(STEP)
    many = along_flow(mixture, x, Draw(range(5)), 1e4, samples=100, steps=40, exact=True)
    torch.testing.assert_close(many, truth, rtol=0, atol=0.05)
    each = x.repeat_interleave(100, 0)
    one = along_flow(mixture, each, Draw(range(500)), 1e4, samples=1, steps=40, exact=True).view(5, 100)
    assert (one.mean(1) < truth + 5 * one.std(1) / math.sqrt(100)).all()


def test_probabilities_of_all_values_sum_to_one() -> None:
    """Where hardly any mass lies beyond the first and the last."""
    x = uint8(*range(256))
    nats = along_flow(plain(0.03), x, Draw(range(256)), 1e4, samples=4, steps=40, exact=True)
    assert nats.exp().sum().item() == pytest.approx(1, abs=2e-3)


def even(y: Tensor, s: Tensor) -> Tensor:
    """The clean image to be expected where values are even from -1 to 1 and half a step beyond."""
    s = s.view(-1, 1, 1, 1)
    low, high = (-1 - STEP / 2 - y) / s, (1 + STEP / 2 - y) / s
    gap = (-(low**2) / 2).exp() - (-(high**2) / 2).exp()
    return y + s * gap / (log_mass(low, high).exp() * math.sqrt(2 * math.pi))


def test_uniform_noise_is_eight_bits() -> None:
    """Each value, away from the ends, is one of 256."""
    x = uint8(10, 64, 127, 200, 245)
    nats = along_flow(even, x, Draw(range(5)), 1e4, samples=1, steps=400, exact=True)
    torch.testing.assert_close(-nats / math.log(2), torch.full_like(nats, 8.0), rtol=0, atol=1e-5)


def test_twelve_steps_are_enough() -> None:
    """To about a thousandth of a bit for each value of a Gaussian a tenth as wide as the data may be."""
    x = uint8(100, 115, 127, 140, 150)
    few, many = (along_flow(plain(0.01), x, Draw(range(5)), 80.0, 1, steps, True) for steps in (12, 300))
    assert ((few - many).abs() / math.log(2)).max() < 2e-3


def test_what_the_top_tells() -> None:
    """-ln(1 - alpha_bar_T) / 2 = 2.018e-5 nats for each value of unit variance, for the paper's betas."""
    top = linear().table[-1].item()
    x = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(1, 4, 1, 1)
    assert told(x, top).item() / 4 == pytest.approx(2.018e-5, abs=5e-9)
    mean, variance = 0.7, 1 + 3.0**2
    p, q = torch.distributions.Normal(mean, 3.0), torch.distributions.Normal(0.0, math.sqrt(variance))
    divergence = torch.distributions.kl_divergence(p, q).item()
    assert told(torch.full((1, 1, 1, 1), mean), 3.0).item() == pytest.approx(divergence, rel=1e-6)


def test_the_variational_bound_is_tight_for_the_best_denoiser() -> None:
    """On average over Gaussian images it is their log-probability, but for what rounding the images changes."""
    torch.manual_seed(0)
    x = (0.25 * torch.randn(2000, 4, 1, 1, dtype=torch.float64)).clamp(-1, 1)
    x = ((x + 1) * 127.5).round() / 127.5 - 1
    found = variational(plain(1 / 16), x, Draw(range(2000)), 80.0, samples=16)
    spread = math.hypot(0.25, FLOOR)
    truth = log_mass((x - STEP / 2) / spread, (x + STEP / 2) / spread).flatten(1).sum(1)
    gap = truth - found
    assert abs(gap.mean()) < 5 * gap.std() / math.sqrt(2000) + 0.02
    worse = variational(plain(1.0), x, Draw(range(2000)), 80.0, samples=16)
    assert (found - worse).mean() > 0.5


VARIANCE, TOP = 0.04, 80.0  # of Gaussian values, and where their noising ends


def binned(x: float, centre: Tensor, deviation: float) -> Tensor:
    """log of the mass that N(centre, deviation^2) has in the bin of x."""
    half = torch.full_like(centre, STEP / 2)
    return log_mass((x - centre - half) / deviation, (x - centre + half) / deviation)


def expected(x: float, steps: int) -> float:
    """The ancestral bound for a value x, on average over its draws, with the exact denoiser of N(0, VARIANCE)."""
    at = levels(TOP, steps)
    s, t = at[:-1], at[1:]
    gain = VARIANCE / (VARIANCE + s**2)
    cost = ((t**-2 - s**-2) / 2 * ((1 - gain) ** 2 * x**2 + gain**2 * s**2)).sum()
    noise = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    last = binned(x, VARIANCE / (VARIANCE + LAST**2) * (x + LAST * noise), math.sqrt(large(LAST, 0)))
    decoder = (last * (-(noise**2) / 2).exp()).sum() * 16 / 20_000 / math.sqrt(2 * math.pi)
    top = told(torch.full((1, 1, 1, 1), x, dtype=torch.float64), TOP)
    return float(decoder - cost - top)


def sampled(x: float, steps: int) -> float:
    """log P(x) of what ancestral sampling in so many steps makes: one Gaussian after the other, the last in bins."""
    at, variance = levels(TOP, steps).tolist(), 1 + TOP**2
    for s, t in pairwise(at):
        gain = VARIANCE / (VARIANCE + s**2)
        variance = (gain + (t / s) ** 2 * (1 - gain)) ** 2 * variance + small(s, t)
    gain = VARIANCE / (VARIANCE + LAST**2)
    deviation = math.sqrt(gain**2 * variance + large(LAST, 0))
    return float(binned(x, torch.zeros(1, dtype=torch.float64), deviation))


@pytest.mark.parametrize("value", [101, 134])
def test_the_ancestral_bound_is_the_closed_form(value: int) -> None:
    """Within 5 standard errors; it is none above the log-probability, and the tighter the more steps there are."""
    x = uint8(value).expand(500, 8, 1, 1)
    found = ancestral(plain(VARIANCE), x, Draw(range(500)), TOP, 60) / 8
    truth = expected(float(x[0, 0]), 60)
    assert abs(found.mean() - truth) < 5 * found.std() / math.sqrt(500)
    bounds = [expected(float(x[0, 0]), steps) for steps in (20, 60, 250, 4000)]
    exact = [sampled(float(x[0, 0]), steps) for steps in (20, 60, 250, 4000)]
    assert bounds == sorted(bounds)
    assert all(bound <= nats for bound, nats in zip(bounds, exact, strict=True))


def test_bounds_are_close_on_average_over_the_data() -> None:
    """Of values as frequent as they are, the bound of many steps misses little of the log-probability."""
    values = uint8(*range(256)).flatten().tolist()
    shares = torch.tensor([sampled(x, 1000) for x in values]).exp()
    gap = torch.tensor([sampled(x, 1000) - expected(x, 1000) for x in values])
    assert shares.sum().item() == pytest.approx(1, abs=1e-6)
    assert 0 < (shares * gap).sum() < 0.03


def test_infinitely_many_steps_are_the_limit() -> None:
    x = uint8(134).expand(500, 8, 1, 1)
    found = variational(plain(VARIANCE), x, Draw(range(500)), TOP, samples=16) / 8
    assert abs(found.mean() - expected(float(x[0, 0]), 20_000)) < 5 * found.std() / math.sqrt(500)


def test_the_mass_of_a_bin() -> None:
    low = torch.tensor([-0.5, 3.0, -40.0, 38.0, -math.inf, 1.0], dtype=torch.float64)
    high = torch.tensor([0.5, 3.1, -39.0, 39.0, 0.0, math.inf], dtype=torch.float64)
    found = log_mass(low, high)
    for place in (0, 1, 4, 5):
        mass = (math.erf(high[place] / math.sqrt(2)) - math.erf(low[place] / math.sqrt(2))) / 2
        assert found[place].item() == pytest.approx(math.log(mass), rel=1e-9)
    torch.testing.assert_close(found[2], torch.special.log_ndtr(torch.tensor(-39.0).double()), rtol=1e-9, atol=0)
    assert found.isfinite().all()


def test_dequantised_images_round_to_what_they_were() -> None:
    x = uint8(*range(256)).float()
    y = dequantised(x, Draw(range(256)))
    assert torch.equal(((y + 1) * 127.5).round().clamp(0, 255), ((x + 1) * 127.5).round())
    assert (y - x).std().item() == pytest.approx(FLOOR, rel=0.2)
