"""Mean velocities of Gaussian data, which are known, and the derivative along the path."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from triptych import chance
from triptych.chance import Draw
from triptych.core import NOTHING, Batch, Given
from triptych.diffusion.meanflow import LEAST, MeanFlow, change, mean_velocity
from triptych.diffusion.model import Diffusion
from triptych.diffusion.paths import linear, straight
from triptych.diffusion.scaling import eps, flow
from triptych.errors import UsageError
from triptych.nets.dit import PatchTransformer
from triptych.nets.mlp import ResidualMlp
from triptych.nets.unet import UNet

LAMBDA, STEPS = 0.25, 1000


class Exact(nn.Module):
    """u of N(0, L): (x_t - x_r) / (t - r), x_r = x_t spread(r) / spread(t)."""

    until = True

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        t, r = ((p + 1) / (STEPS + 1) for p in (level, given["until"]))
        return ((1 - spread(r) / spread(t)) / (t - r)).view(-1, 1, 1, 1) * x


def spread(t: Tensor) -> Tensor:
    return ((1 - t).square() * LAMBDA + t.square()).sqrt()


def velocity(x: Tensor, t: Tensor) -> Tensor:
    """With mean 0."""
    return ((t - (1 - t) * LAMBDA) / spread(t).square()).view(-1, 1, 1, 1) * x


def model_of(net: object, shape: tuple[int, int, int] = (1, 2, 2)) -> Diffusion:
    path = straight(STEPS)
    model = Diffusion(net, path, flow, shape, sampler="average", steps=1).double()  # type: ignore[arg-type]
    model.table = path.table  # in float64
    return model


def silent(shape: tuple[int, int, int]) -> Diffusion:
    """One whose network answers 0."""
    model = model_of(lambda **facts: Exact(), shape)
    model.net.forward = lambda x, level, given: torch.zeros_like(x)  # type: ignore[method-assign]
    return model


def test_the_identity_holds_for_exact_mean_velocities() -> None:
    """u + (t - r) du/dt = v, the derivative being that along the velocity (equation 6)."""
    model = model_of(lambda **facts: Exact())
    t, r = torch.tensor([0.3, 0.5, 0.9, 0.99]).double(), torch.tensor([0.1, 0.499, 0.001, 0.5]).double()
    x_t = torch.randn(4, 1, 2, 2, dtype=torch.float64)
    v = velocity(x_t, t)
    found = mean_velocity(model, x_t, r, t, NOTHING) + (t - r).view(-1, 1, 1, 1) * change(model, x_t, r, t, v, NOTHING)
    torch.testing.assert_close(found, v, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    "net",
    [
        partial(UNet, width=8, multipliers=(1, 2), blocks=1, attention=(4,), dropout=0.0, adaptive=True, until=True),
        partial(PatchTransformer, width=16, depth=1, heads=2, until=True),
        partial(ResidualMlp, width=16, blocks=1, until=True),
    ],
    ids=["unet", "dit", "mlp"],
)
def test_the_derivative_is_that_of_finite_differences(net: object) -> None:
    """Through norms and attention, whose fused kernels have no forward derivative; to 1e-6 of its size."""
    torch.manual_seed(0)
    model = model_of(net, (1, 8, 7))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    x_t, v = torch.randn(2, 3, 1, 8, 7, dtype=torch.float64).unbind(0)
    t, r = torch.tensor([0.2, 0.6, 0.9]).double(), torch.tensor([0.1, 0.6, 0.01]).double()
    h = 1e-5
    ahead, behind = (mean_velocity(model, x_t + h * sign * v, r, t + h * sign, NOTHING) for sign in (1, -1))
    slope = change(model, x_t, r, t, v, NOTHING)
    assert slope.abs().max() > 1e-3
    assert ((ahead - behind) / (2 * h) - slope).abs().max() < 1e-6 * slope.abs().max()


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_exact_mean_velocities_need_one_step(steps: int) -> None:
    """x_0 = spread(r) / spread(t) x_t at the ends of the table, whatever the number of steps."""
    model = model_of(lambda **facts: Exact())
    z = Draw(range(5)).normal(1, 2, 2).double()
    first, last = (torch.tensor(end / (STEPS + 1)).double() for end in (1, STEPS))
    x_t = z * model.spread() * (1 - last)
    found = model.sample(Draw(range(5)), steps=steps)
    # the last stretch ends at time 0, which the network is told as the table's first
    torch.testing.assert_close(found, x_t * spread(first) / spread(last), rtol=3e-3, atol=1e-4)


def test_without_a_stretch_the_goal_is_the_velocity() -> None:
    """A network that answers 0 then has the mean square of n - x for a loss, over its own size by `adaptive`."""
    x = torch.rand(8, 2, 4, 4, dtype=torch.float64)
    for power in (0.0, 1.0):
        (turn,) = MeanFlow(apart=0.0, adaptive=power).turns(silent((2, 4, 4)))
        chance.reseed(0)
        losses, stats = turn.loss(Batch(x), 0)
        chance.reseed(0)
        torch.randn(8), torch.randn(8)  # the levels
        wrong = (torch.randn_like(x) - x).square().flatten(1).mean(1)
        torch.testing.assert_close(losses, wrong / (wrong + LEAST) ** power)
        torch.testing.assert_close(stats["wrong"], wrong.mean())


def test_a_share_of_the_stretches_has_a_length() -> None:
    model, heard = silent((1, 1, 1)), []
    model.net.forward = lambda x, level, given: heard.append(level - given["until"]) or 0 * x  # type: ignore[method-assign,func-returns-value]
    (turn,) = MeanFlow(apart=0.25).turns(model)
    turn.loss(Batch(torch.zeros(40, 1, 1, 1).double()), 0)
    first, whole = heard
    assert first.shape == (10,)
    assert (whole[:10] > 0).all()
    assert not whole[10:].any()


def test_told_nothing_a_network_answers_for_the_level_itself() -> None:
    torch.manual_seed(0)
    net = UNet((1, 8, 8), width=8, until=True)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.1)
    x, level = torch.randn(2, 1, 8, 8), torch.tensor([300.0, 700.0])
    plain = net.eval()(x, level)
    assert torch.equal(plain, net(x, level, {"until": level}))
    assert not torch.allclose(plain, net(x, level, {"until": level / 2}))


def test_models_without_mean_velocities() -> None:
    with pytest.raises(UsageError, match="no Conv2d"):
        MeanFlow().turns(nn.Conv2d(1, 1, 1))  # type: ignore[arg-type]
    net = partial(UNet, width=8)
    for path, scaling in ((straight(), eps), (linear(), flow)):
        with pytest.raises(UsageError, match="take path straight, scaling flow"):
            MeanFlow().turns(Diffusion(net, path, scaling, (1, 8, 8)))
    with pytest.raises(UsageError, match=r"with model\.net\.until=true"):
        MeanFlow().turns(Diffusion(net, straight(), flow, (1, 8, 8)))
    for wrong in ({"label_dropout": 2.0}, {"apart": -1.0}, {"adaptive": -1.0}):
        with pytest.raises(UsageError, match="give shares from 0 to 1"):
            MeanFlow(**wrong)
