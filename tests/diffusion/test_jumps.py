"""Samplers of few steps on Gaussian data N(0, L): exact for any number of steps, where the network is."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.chance import Draw
from triptych.diffusion.guidance import guided, within
from triptych.diffusion.jumps import average, consistency
from triptych.diffusion.walks import watched
from truths.exact import leap, variance_of

LAMBDA = 0.25
LEVELS = torch.tensor([80.0, 5.0, 0.8, 0.1, 0.0], dtype=torch.float64)
END = leap(LAMBDA)


@pytest.mark.parametrize("places", [[0, 4], [0, 2, 4], [0, 1, 2, 3, 4]])
def test_estimating_again_keeps_the_data_s_variance(places: list[int]) -> None:
    """Each estimate is N(0, L); noise makes it N(0, L + t^2), of which the next estimate is N(0, L) again."""
    levels = LEVELS[places]
    assert variance_of(consistency, levels, LAMBDA + levels[0].item() ** 2, END) == pytest.approx(LAMBDA, rel=1e-12)


def test_one_step_is_one_question_and_draws_nothing() -> None:
    asked: list[float] = []
    y = torch.ones(2, 1, 1, 1, dtype=torch.float64)
    found = consistency(lambda y, s: asked.append(s[0].item()) or y / 2, y, LEVELS[[0, 4]], Draw(()))  # type: ignore[func-returns-value]
    assert asked == [80.0]
    assert torch.equal(found, y / 2)


@pytest.mark.parametrize("places", [[0, 4], [0, 2, 4], [0, 1, 2, 3, 4]])
def test_mean_velocities_lead_to_the_flow_s_end(places: list[int]) -> None:
    y = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    found = average(END, y, LEVELS[places], Draw(()))
    factor = math.sqrt(LAMBDA / (LAMBDA + 80.0**2))
    torch.testing.assert_close(found, factor * y, rtol=1e-11, atol=0)


def test_where_a_step_ends_is_told_through_guidance_and_watching() -> None:
    heard: list[float] = []
    steered = within(guided(END, (END, 2.0)), END, 0.5, 100.0)
    y = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    found = average(watched(steered, lambda s, clean: heard.append(s[0].item())), y, LEVELS, Draw(()))
    torch.testing.assert_close(found, average(END, y, LEVELS, Draw(())), rtol=1e-11, atol=0)
    assert heard == LEVELS[:-1].tolist()
