"""Consistency: the boundary, the pairs of levels, and Gaussian data, whose consistency function is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from triptych import chance, store
from triptych.core import NOTHING, Batch, Given
from triptych.diffusion.consistency import HUBER, Consistency, below
from triptych.diffusion.levels import Drawn, Levels
from triptych.diffusion.model import Diffusion
from triptych.diffusion.paths import exploding
from triptych.diffusion.scaling import Scaling, edm, eps, flow, velocity, x0
from triptych.errors import UsageError

LAMBDA, SHAPE = 0.25, (1, 1, 1)


class One(Levels):
    """Always the same level."""

    def __init__(self, s: float) -> None:
        super().__init__()
        self.s = s

    def draw(self, count: int, table: Tensor) -> Drawn:
        return Drawn(table.new_full((count,), self.s), table.new_ones(count))


class Gain(nn.Module):
    """An answer that makes D = a(s)^power y, a(s)^2 = L / (L + s^2): with power 1 that of N(0, L)."""

    def __init__(self, table: Tensor, scaling: Scaling) -> None:
        super().__init__()
        self.table, self.scaling = table, scaling
        self.power = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        low = level.long()
        high = (low + 1).clamp(max=len(self.table) - 1)
        s = self.table[low] + (level - low) * (self.table[high] - self.table[low])
        skip, out, inp = self.scaling(s)
        gain = (LAMBDA / (LAMBDA + s * s)).pow(self.power / 2)
        return ((gain - skip) / (out * inp)).view(-1, 1, 1, 1) * x


def exact(scaling: Scaling) -> Diffusion:
    path = exploding()
    model = Diffusion(lambda **facts: Gain(path.table, scaling), path, scaling, SHAPE).double()
    model.table = path.table  # in float64
    return model


@pytest.mark.parametrize("scaling", [eps, flow, velocity, edm()])
def test_at_level_zero_the_answer_is_the_image(scaling: Scaling) -> None:
    model = Diffusion(lambda **facts: nn.Conv2d(1, 1, 1), exploding(), scaling, (1, 8, 8))
    model.net.forward = lambda x, level, given: torch.randn_like(x)  # type: ignore[method-assign]
    y = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(model.denoise(y, torch.zeros(4)), y, rtol=0, atol=1e-6)
    assert [turn.name for turn in Consistency().turns(model)] == ["consistency"]


def test_what_cannot_be_consistent() -> None:
    with pytest.raises(UsageError, match="take edm, flow, v or eps"):
        Consistency().turns(exact(x0))
    with pytest.raises(UsageError, match="no Conv2d"):
        Consistency().turns(nn.Conv2d(1, 1, 1))  # type: ignore[arg-type]
    for wrong in ({"label_dropout": 2.0}, {"stage": 0}, {"stages": 0}):
        with pytest.raises(UsageError, match="1 or more stages"):
            Consistency(**wrong)  # type: ignore[arg-type]


def test_pairs_come_nearer_stage_by_stage() -> None:
    """The share of s that is left out is (1 + 8 sigmoid(-s)) / 2^stage: 5 / 2^stage near 0, 1 / 2^stage far up."""
    s = torch.tensor([1e-9, 1e3], dtype=torch.float64)
    assert below(s, 1).tolist() == [0.0, 500.0]  # the first lesson at low levels is denoising
    torch.testing.assert_close(below(s, 3) / s, torch.tensor([3 / 8, 7 / 8], dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(below(s, 8) / s, 1 - torch.tensor([5.0, 1.0]).double() / 256, rtol=1e-6, atol=0)


def test_the_images_seen_are_its_clock() -> None:
    objective, model = Consistency(stage=100, stages=4, levels=One(1e-3)), exact(edm())
    (turn,) = objective.turns(model)
    ratios = [
        float(turn.loss(Batch(torch.zeros(2, *SHAPE).double()), seen)[1]["ratio"]) for seen in (0, 199, 200, 10**6)
    ]
    assert ratios == pytest.approx([0, 0, 3 / 8, 11 / 16], abs=1e-3)


def test_one_point_is_answered_everywhere() -> None:
    """Where the data are one image and D is that image, the loss is 0; off by d, it is the pseudo-Huber norm of d."""
    model = Diffusion(lambda **facts: nn.Conv2d(1, 1, 1), exploding(), edm(), (1, 2, 2)).double()
    x = torch.full((6, 1, 2, 2), 0.3, dtype=torch.float64)
    for off in (0.0, 0.1):
        model.denoise = lambda y, s, given=NOTHING, until=None, off=off: x + off * (s > 1).to(x).view(-1, 1, 1, 1)  # type: ignore[method-assign]
        (turn,) = Consistency(levels=One(1.5), stages=1).turns(model)
        losses, _ = turn.loss(Batch(x), 0)
        gap = 1.5 - below(torch.tensor([1.5], dtype=torch.float64), 1).item()
        assert losses.tolist() == pytest.approx([((off**2 + HUBER**2) ** 0.5 - HUBER) / gap] * 6, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("s", [0.1, 0.5, 3.0])
def test_the_loss_leads_to_the_gaussian_s_function(s: float) -> None:
    """Its slope is nil at the flow's own map, and leads back from maps that shrink too little or too much."""

    def slope(power: float) -> float:
        model = exact(edm())
        (turn,) = Consistency(levels=One(s), stage=1, stages=9).turns(model)
        with torch.no_grad():
            model.net.power.fill_(power)
        chance.reseed(0)
        x = LAMBDA**0.5 * torch.randn(200_000, *SHAPE, dtype=torch.float64)
        (gradient,) = torch.autograd.grad(turn.loss(Batch(x), 100)[0].mean(), [model.net.power])
        return gradient.item()

    low, there, high = slope(0.7), slope(1.0), slope(1.4)
    assert low < 0 < high
    assert abs(there) < 0.1 * min(-low, high)


def test_both_answers_have_one_chance() -> None:
    """The same dropout for both, and the goal has no gradient."""

    class Dropping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(64))

        def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
            heard.append(nn.functional.dropout(self.weight, 0.5).view(1, 1, 8, 8).expand_as(x))
            return heard[-1]

    heard: list[Tensor] = []
    model = Diffusion(lambda **facts: Dropping(), exploding(), edm(), (1, 8, 8))
    (turn,) = Consistency().turns(model)
    turn.loss(Batch(torch.zeros(3, 1, 8, 8)), 0)
    assert torch.equal(heard[0], heard[1])
    assert 0 < (heard[0] == 0).float().mean() < 1
    assert (heard[0].requires_grad, heard[1].requires_grad) == (False, True)


def test_tuning_begins_with_a_trained_denoiser(train_tiny: Callable[..., Any], tmp_path: Path) -> None:
    """Its network and scaling are the trained run's; how images are made is the new recipe's."""
    old = train_tiny("edm", 3, "old", changes=("model.net.width=12", "model.scaling.deviation=0.6"))
    still = ("optimisers.consistency.rate=1.0e-12", f"weights.={old.run}")
    new = train_tiny("consistency", 1, "new", changes=still)
    kept, found = (load_file(Path(run.checkpoint) / "model.safetensors") for run in (old, new))
    assert kept.keys() == found.keys()
    for key, tensor in kept.items():
        torch.testing.assert_close(found[key], tensor, rtol=0, atol=1e-5)
    model = store.read_recipe(new.run)["model"]
    assert (model["net"]["width"], model["scaling"]["deviation"]) == (12, 0.6)
    assert (model["kind"], model["sampler"], model["steps"]) == ("leap", "consistency", 1)
