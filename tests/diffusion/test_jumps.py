"""Samplers of few steps on Gaussian data N(0, L): exact for any number of steps, where the network is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.diffusion.guidance import guided, within
from triptych.diffusion.jumps import average, consistency
from triptych.diffusion.walks import watched

LAMBDA = 0.25
LEVELS = torch.tensor([80.0, 5.0, 0.8, 0.1, 0.0], dtype=torch.float64)


class Impulses(Draw):
    """The k-th draw is 1 for image k and 0 for the others; image 0 is left to the first noise."""

    drawn = 0

    def normal(self, *shape: int) -> Tensor:
        self.drawn += 1
        return impulse(self.drawn, len(self))


def impulse(image: int, images: int) -> Tensor:
    unit = torch.zeros(images, 1, 1, 1, dtype=torch.float64)
    unit[image] = 1
    return unit


def end(y: Tensor, s: Tensor, until: Tensor | float = 0.0) -> Tensor:
    """Where the flow's path through y at s is at a level below, as D of a straight line there."""
    t = torch.as_tensor(until, dtype=y.dtype).expand_as(s)
    there = ((LAMBDA + t.square()) / (LAMBDA + s.square())).sqrt().view(-1, 1, 1, 1) * y
    share = (t / s).view(-1, 1, 1, 1)
    return (there - share * y) / (1 - share)


@pytest.mark.parametrize("places", [[0, 4], [0, 2, 4], [0, 1, 2, 3, 4]])
def test_estimating_again_keeps_the_data_s_variance(places: list[int]) -> None:
    """Each estimate is N(0, L); noise makes it N(0, L + t^2), of which the next estimate is N(0, L) again."""
    levels = LEVELS[places]
    images = len(levels)
    response = consistency(end, impulse(0, images), levels, Impulses(range(images))).flatten()
    start = LAMBDA + levels[0].item() ** 2
    assert float(start * response[0] ** 2 + response[1:].square().sum()) == pytest.approx(LAMBDA, rel=1e-12)


def test_one_step_is_one_question_and_draws_nothing() -> None:
    asked: list[float] = []
    y = torch.ones(2, 1, 1, 1, dtype=torch.float64)
    found = consistency(lambda y, s: asked.append(s[0].item()) or y / 2, y, LEVELS[[0, 4]], Draw(()))  # type: ignore[func-returns-value]
    assert asked == [80.0]
    assert torch.equal(found, y / 2)


@pytest.mark.parametrize("places", [[0, 4], [0, 2, 4], [0, 1, 2, 3, 4]])
def test_mean_velocities_lead_to_the_flow_s_end(places: list[int]) -> None:
    y = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    found = average(end, y, LEVELS[places], Draw(()))
    factor = math.sqrt(LAMBDA / (LAMBDA + 80.0**2))
    torch.testing.assert_close(found, factor * y, rtol=1e-11, atol=0)


def test_where_a_step_ends_is_told_through_guidance_and_watching() -> None:
    heard: list[float] = []
    steered = within(guided(end, (end, 2.0)), end, 0.5, 100.0)
    y = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    found = average(watched(steered, lambda s, clean: heard.append(s[0].item())), y, LEVELS, Draw(()))
    torch.testing.assert_close(found, average(end, y, LEVELS, Draw(())), rtol=1e-11, atol=0)
    assert heard == LEVELS[:-1].tolist()
