"""The model: noise to images and back, seeds, samplers and labels."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Encodes, Given, Model, abilities
from triptych.diffusion.levels import linear, straight
from triptych.diffusion.model import SAMPLERS, Diffusion, ddpm, flow, flow_mlp
from triptych.diffusion.scaling import flow as flow_scaling
from triptych.errors import UsageError

SHAPE = (2, 5, 7)


class Exact(nn.Module):
    """The noise that is to be expected in images of N(0, variance), whatever the place in the table."""

    def __init__(self, table: Tensor, variance: float) -> None:
        super().__init__()
        self.table, self.variance = table, variance

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        s = self.table[level.round().long()].view(-1, 1, 1, 1)
        alpha = (1 + s * s).rsqrt()
        return s * alpha * x / (alpha**2 * self.variance + (s * alpha) ** 2)


@pytest.fixture
def exact() -> Diffusion:
    """A model of N(0, 1/4) without an error of its own, in float64."""
    table = linear().float().double()
    return Diffusion(Exact(table, 0.25), SHAPE, 0, table).double()


@pytest.fixture
def small() -> Diffusion:
    torch.manual_seed(0)
    model = ddpm((1, 8, 8), 3, width=8, blocks=1, conditional=True)
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return model.eval()


def labels(*of: int) -> Given:
    return {"labels": torch.tensor(of)}


def test_what_it_can_do(small: Diffusion) -> None:
    assert isinstance(small, Model)
    assert isinstance(small, Encodes)
    assert abilities(small) == ("sample", "encode", "conditional")
    assert abilities(ddpm((1, 8, 8), 3, width=8)) == ("sample", "encode")
    assert small.latent_shape == small.image_shape == (1, 8, 8)
    assert all(key.startswith("net.") for key in small.state_dict())


def test_the_estimate_is_the_gaussian_s(exact: Diffusion) -> None:
    s = exact.table[[0, 10, 500, 999]]
    y = torch.randn(4, *SHAPE, dtype=torch.float64)
    best = (0.25 / (0.25 + s * s)).view(-1, 1, 1, 1) * y
    torch.testing.assert_close(exact.denoise(y, s), best, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_have_the_data_s_spread(exact: Diffusion, sampler: str) -> None:
    exact.bound = math.inf
    x = exact.sample(Draw(range(400)), sampler=sampler, steps=200)
    assert x.square().mean().item() == pytest.approx(0.25, rel=5 * math.sqrt(2 / x.numel()) + 0.05)


def test_estimates_are_kept_within_bounds(exact: Diffusion) -> None:
    def most(bound: float | None) -> float:
        model = Diffusion(exact.net, SHAPE, 0, exact.table, bound=bound).double()
        return model.sample(Draw(range(50)), steps=20).abs().max().item()

    assert most(None) > 1
    assert most(1.0) <= 1
    assert most(0.3) <= 0.3


def test_encoding_is_undone_by_decoding(exact: Diffusion) -> None:
    """The error falls with the number of steps, as Euler's does."""
    x = 0.5 * torch.randn(3, *SHAPE, dtype=torch.float64)
    exact.bound = math.inf

    def error(steps: int) -> float:
        z = exact.encode(x, steps=steps)
        return float((exact.decode(z, steps=steps) - x).square().mean().sqrt())

    assert exact.encode(x, steps=1000).std().item() == pytest.approx(1, abs=0.15)
    assert error(1000) < 0.02
    assert error(1000) < error(100) < error(10)


def test_decoding_is_sampling_without_fresh_noise(small: Diffusion) -> None:
    z = Draw([4, 9]).normal(1, 8, 8)
    assert torch.equal(small.decode(z, labels(0, 1), steps=5), small.sample(Draw([4, 9]), labels(0, 1), steps=5))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_image_follows_its_seed(small: Diffusion, sampler: str) -> None:
    seeds, given = list(range(6)), torch.tensor([0, 1, 2, 0, 1, 2])
    together = small.sample(Draw(seeds), {"labels": given}, sampler=sampler, steps=10)
    alone = [small.sample(Draw([i]), {"labels": given[i : i + 1]}, sampler=sampler, steps=10) for i in seeds]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-4)
    assert not torch.allclose(together[0], together[3])


def test_labels_are_heard_and_may_be_left_out(small: Diffusion) -> None:
    given = (labels(0), labels(2), NOTHING)
    images = [small.sample(Draw([0]), what, steps=5) for what in given]
    assert all(not torch.allclose(images[i], images[i - 1]) for i in range(3))


@pytest.mark.parametrize("given", [labels(3), labels(-1), labels(0, 1), {"labels": torch.tensor(1)}], ids=str)
def test_labels_that_there_are_not(small: Diffusion, given: Given) -> None:
    z = torch.zeros(1, 1, 8, 8)
    for call in (
        lambda: small.sample(Draw([0]), given),
        lambda: small.decode(z, given),
        lambda: small.encode(z, given),
    ):
        with pytest.raises(UsageError, match="from 0 to 2"):
            call()


def test_samplers_and_steps_that_there_are_not(small: Diffusion) -> None:
    with pytest.raises(UsageError, match="'ancestral'"):
        small.sample(Draw([0]), labels(0), sampler="ancestal")
    with pytest.raises(UsageError, match="give 1 to 1000"):
        small.sample(Draw([0]), labels(0), steps=1001)


def test_classes_are_taken_only_where_there_are_any() -> None:
    assert ddpm((1, 8, 8), 10, width=8).classes == 0
    assert ddpm((1, 8, 8), 10, width=8, conditional=True).classes == 10
    with pytest.raises(UsageError, match=r"model\.conditional=false"):
        ddpm((1, 8, 8), 0, width=8, conditional=True)


class Velocity(nn.Module):
    """The exact velocity at x_t of N(mean, variance) (truth D9), for the table of `straight(steps)`."""

    def __init__(self, steps: int, mean: float, variance: float) -> None:
        super().__init__()
        self.steps, self.mean, self.variance = steps, mean, variance

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        t = ((level + 1) / (self.steps + 1)).view(-1, 1, 1, 1)
        pull = (t - (1 - t) * self.variance) / ((1 - t) ** 2 * self.variance + t**2)
        return pull * (x - (1 - t) * self.mean) - self.mean


def test_a_flow_goes_where_the_exact_velocity_leads() -> None:
    """x_0 = m + sqrt(l) z; the error is Euler's, of the first order in the steps, for vectors and no bounds."""
    table = straight(4000)
    model = Diffusion(Velocity(4000, 3.0, 0.25), (6, 1, 1), 0, table, flow_scaling, bound=None).double()
    model.table = table  # in float64
    z = Draw(range(50)).normal(6, 1, 1).double()

    def error(steps: int) -> float:
        return float((model.decode(z, steps=steps) - (3 + 0.5 * z)).abs().max())

    assert error(4000) < 3e-3
    assert error(20) / error(200) == pytest.approx(10, rel=0.2)
    torch.testing.assert_close(model.encode(model.decode(z, steps=4000), steps=4000), z, rtol=0, atol=0.02)


@pytest.mark.parametrize("make", [flow, flow_mlp])
def test_flows_are_for_vectors_too(make: Callable[..., Diffusion]) -> None:
    model = make((5, 1, 1), 3, width=8, blocks=1, conditional=True).eval()
    assert model.sample(Draw([0, 1]), labels(0, 2), steps=3).shape == (2, 5, 1, 1)
    assert model.bound == math.inf
    with pytest.raises(UsageError, match="no classes"):
        make((5, 1, 1), 0, conditional=True)
