"""The probability flow of Gaussian data, whose map and change of density are known, up and down."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.diffusion.flow import flowed, times, weights
from triptych.diffusion.likelihood import FLOOR, all_directions
from triptych.errors import UsageError
from truths.exact import flowed as factor
from truths.exact import gaussian

VARIANCES = torch.tensor([1e-2, 0.25, 1.0, 4.0], dtype=torch.float64).view(4, 1, 1)
GAUSSIAN = gaussian(VARIANCES)
Y = torch.tensor([[0.05, -0.7, 1.2, 3.0], [-0.1, 0.2, 0.0, -2.0]], dtype=torch.float64).view(2, 4, 1, 1)


def stretch(start: float, end: float) -> Tensor:
    """What the flow multiplies each value by."""
    return factor(VARIANCES, start, end)


def test_the_flow_is_the_gaussian_s() -> None:
    """To 1e-8 of the noise's size, and the change of the log-density to 5e-8."""
    top = 80.0
    z, change = flowed(GAUSSIAN, Y, FLOOR, top, 400, all_directions(Y))
    torch.testing.assert_close(z, stretch(FLOOR, top) * Y, rtol=1e-8, atol=0)
    exact = -stretch(FLOOR, top).log().sum()
    torch.testing.assert_close(change, exact.expand(2), rtol=0, atol=5e-8)
    back, again = flowed(GAUSSIAN, z, top, FLOOR, 400, all_directions(Y))
    torch.testing.assert_close(back, Y, rtol=1e-8, atol=0)
    torch.testing.assert_close(again, -exact.expand(2), rtol=0, atol=5e-8)


def test_what_starting_from_pure_noise_costs() -> None:
    """From N(0, S^2), not N(m, L + S^2): the mean falls short by f m, the variance is S^2 / (L + S^2) of the data's.

    Where the start is N(0, 1 + S^2), as in sampling, images of variance 1 have it to the end.
    """
    mean, variance, top = 0.4, 0.25, 10.0
    z = torch.tensor([0.0, 1.0], dtype=torch.float64).view(2, 1, 1, 1)
    zero, one = flowed(gaussian(variance, mean), top * z, top, FLOOR, 400)[0].flatten().tolist()
    f = factor(variance, top, FLOOR)
    assert zero == pytest.approx(mean - f * mean, abs=1e-8)
    assert (one - zero) ** 2 / (variance + FLOOR**2) == pytest.approx(top**2 / (variance + top**2), abs=1e-8)
    assert (one - zero) ** 2 / (variance + FLOOR**2) == pytest.approx(0.99751, abs=5e-6)
    unit, _ = flowed(gaussian(1.0), math.hypot(1, top) * z, top, FLOOR, 400)
    assert unit[1].item() == pytest.approx(math.sqrt(1 + FLOOR**2), abs=1e-8)


def test_what_goes_up_comes_down_to_a_tenth_of_a_uint8_step() -> None:
    """12 steps, 48 estimates, each way."""
    z, _ = flowed(GAUSSIAN, Y, FLOOR, 80.0, 12)
    back, _ = flowed(GAUSSIAN, z, 80.0, FLOOR, 12)
    assert (back - Y).abs().max() * 127.5 < 0.1


def test_a_point_is_reached_in_one_step() -> None:
    """Where the data are one point the path is straight, and no step is too long."""
    z = torch.randn(3, 2, 2, 2, dtype=torch.float64)
    found, _ = flowed(lambda y, s: torch.full_like(y, 0.3), 0.3 + 80 * z, 80.0, FLOOR, 1)
    torch.testing.assert_close(found, 0.3 + FLOOR * z, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("t", "u"), [(1e-3, 2e-3), (0.01, 0.5), (0.9, 0.999), (0.5, 0.4)])
def test_parabolas_are_integrated_without_an_error(t: float, u: float) -> None:
    """Of 1, t and t^2 over dt / (t (1 - t)); 1 gives the difference of ln s."""
    integrals = [lambda t: math.log(t / (1 - t)), lambda t: -math.log(1 - t), lambda t: -math.log(1 - t) - t]
    for power, integral in enumerate(integrals):
        found = sum(w * at**power for w, at in zip(weights(t, u), (t, (t + u) / 2, u), strict=True))
        assert found == pytest.approx(integral(u) - integral(t), rel=1e-9, abs=1e-14)


def test_times_are_of_the_levels() -> None:
    t = times(0.5, 4.0, 7)
    assert len(t) == 8
    torch.testing.assert_close(t[[0, -1]] / (1 - t[[0, -1]]), torch.tensor([0.5, 4.0], dtype=torch.float64))
    torch.testing.assert_close(times(4.0, 0.5, 7), t.flip(0))
    with pytest.raises(UsageError, match="give 1 or more"):
        times(4.0, 0.5, 0)
