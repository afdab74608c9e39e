"""What a critic without a penalty leans on: weights that stay inside a box; and the slopes' norm that is logged."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from triptych.errors import UsageError
from triptych.training.optimisers import Maker, adam, rmsprop


def test_bound_keeps_weights_in_a_box() -> None:
    weight = nn.Parameter(torch.tensor([0.005, -0.3, 0.0099, 4.0]))
    optimiser = rmsprop(1e-3, bound=0.01)([weight])
    weight.grad = torch.tensor([0.0, 1.0, -1.0, 1.0])
    optimiser.step(0)
    assert weight.tolist() == pytest.approx([0.005, -0.01, 0.01, 0.01])
    free = nn.Parameter(torch.tensor([4.0]))
    free.grad = torch.ones(1)
    rmsprop(1e-3)([free]).step(0)
    assert free.item() > 3.9


def test_rmsprop_by_hand() -> None:
    """v <- alpha v + (1 - alpha) g^2, w <- w - rate g / (sqrt(v) + eps), with a ramp of one half."""
    weight = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimiser = rmsprop(0.1, alpha=0.9, eps=1e-3, ramp=lambda seen: 0.5)([weight])
    expected, mean = 1.0, 0.0
    for slope in (2.0, -1.0, 0.5):
        weight.grad = torch.tensor([slope], dtype=torch.float64)
        optimiser.step(0)
        mean = 0.9 * mean + 0.1 * slope**2
        expected -= 0.05 * slope / (mean**0.5 + 1e-3)
        assert weight.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("maker", [adam(0.1), adam(0.1, clip=1.0), rmsprop(0.1), rmsprop(0.1, clip=1.0)])
def test_a_step_returns_the_norm_before_clipping(maker: Maker) -> None:
    one, two, idle = (nn.Parameter(torch.zeros(n)) for n in (2, 1, 3))
    optimiser = maker([one, two, idle])
    one.grad, two.grad = torch.tensor([2.0, -3.0]), torch.tensor([6.0])
    assert optimiser.step(0).item() == pytest.approx(7)
    assert one.grad is None is two.grad
    assert idle.abs().max().item() == 0


@pytest.mark.parametrize("wrong", [lambda: rmsprop(0.0), lambda: rmsprop(alpha=1.0), lambda: rmsprop(bound=0.0)])
def test_values_that_move_nothing(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match="RMSprop has rate"):
        wrong()


@pytest.mark.parametrize("maker", [adam, rmsprop])
def test_a_gradient_above_skip_moves_neither_weights_nor_moments(maker: Callable[..., Maker]) -> None:
    (weight, fresh), steps = (nn.Parameter(torch.ones(2)) for _ in range(2)), (torch.tensor([3.0, 4.0]), torch.ones(2))
    optimiser, other = maker(0.1, skip=2.0)([weight]), maker(0.1)([fresh])
    weight.grad = steps[0]
    assert optimiser.step(0).item() == pytest.approx(5)
    assert weight.tolist() == [1, 1]
    assert weight.grad is None
    assert not optimiser.torch.state
    weight.grad, fresh.grad = steps[1].clone(), steps[1].clone()
    optimiser.step(0)
    other.step(0)
    assert torch.equal(weight, fresh)
    weight.grad = torch.tensor([float("nan"), 0])
    with pytest.raises(FloatingPointError):  # an error of the run, not a step to forget
        optimiser.step(0)


@pytest.mark.parametrize("wrong", [{"skip": 0.0}, {"clip": -1.0}])
def test_a_limit_below_every_gradient_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="norms above 0"):
        adam(**wrong)([nn.Parameter(torch.ones(1))])
