"""Weights of the error of the answer, against those of the papers in their own coordinates, to 1e-12."""

from __future__ import annotations

import pytest
import torch

from triptych.diffusion import scaling, weighting
from triptych.errors import UsageError

S = torch.tensor([0.01, 0.3, 1.0, 4.0, 60.0], dtype=torch.float64)
CLEAN = torch.ones_like(S)  # the error of the clean estimate


@pytest.fixture(params=["eps", "x0", "velocity", "flow"])
def out(request: pytest.FixtureRequest) -> torch.Tensor:
    """What one of the scalings multiplies its answer by."""
    return torch.as_tensor(getattr(scaling, request.param)(S).out)


def same(factor: torch.Tensor, out: torch.Tensor, weight_of_clean: torch.Tensor) -> None:
    """factor |F - F*|^2 = weight |D - x|^2, whatever the network answers."""
    torch.testing.assert_close(factor * (CLEAN / out).square(), weight_of_clean * CLEAN, rtol=1e-12, atol=0)


def test_unit_weights_are_those_of_the_answer(out: torch.Tensor) -> None:
    assert torch.equal(weighting.unit(S, out), torch.ones_like(S))


def test_min_snr_is_cut_off(out: torch.Tensor) -> None:
    same(weighting.min_snr(5.0)(S, out), out, torch.minimum(1 / S**2, torch.tensor(5.0)))


def test_p2_weighs_the_noise(out: torch.Tensor) -> None:
    """|eps - eps*|^2 = |D - x|^2 / s^2."""
    same(weighting.p2(0.5, 2.0)(S, out), out, (2.0 + 1 / S**2) ** -0.5 / S**2)


def test_the_velocity_of_the_straight_path(out: torch.Tensor) -> None:
    """v = (x_t - x) / t with t = s / (1 + s), so |v - v*|^2 = |D - x|^2 / t^2; no t counts as less than 0.05."""
    t = (S / (1 + S)).clamp(min=0.05)
    same(weighting.velocity()(S, out), out, t**-2)
    velocity_itself = scaling.flow(S).out
    torch.testing.assert_close(weighting.velocity(1e-9)(S, velocity_itself), torch.ones_like(S), rtol=1e-12, atol=0)


def test_edm_weights_make_the_answers_equal() -> None:
    """The weighted loss of the ideal network is 1 a dimension at every level, and `unit` says the same."""
    d = 0.4
    out = scaling.edm(d)(S).out
    weight = (S**2 + d**2) / (S * d) ** 2
    torch.testing.assert_close(weighting.edm(d)(S, out), torch.ones_like(S), rtol=1e-12, atol=0)
    floor = d**2 * S**2 / (d**2 + S**2)
    torch.testing.assert_close(weight * floor, torch.ones_like(S), rtol=1e-12, atol=0)


@pytest.mark.parametrize("make", [weighting.min_snr, weighting.p2, weighting.edm, weighting.velocity])
def test_no_such_weight(make: type) -> None:
    with pytest.raises(UsageError, match="above 0"):
        make(0.0)
