"""The model: noise to images and back, seeds, samplers and labels."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Encodes, Given, Model, abilities
from triptych.diffusion.likelihood import FLOOR, STEP, dequantised
from triptych.diffusion.model import Diffusion
from triptych.diffusion.paths import Path, linear, preserving, straight
from triptych.diffusion.scaling import eps
from triptych.diffusion.scaling import flow as flow_scaling
from triptych.diffusion.walks import SAMPLERS, SCHEDULES
from triptych.errors import UsageError
from triptych.labels import written
from triptych.nets.mlp import ResidualMlp
from triptych.nets.reading import ByteReader
from triptych.nets.unet import UNet
from triptych.pixels import to_float

SHAPE = (2, 5, 7)


class Exact(nn.Module):
    """The noise that is to be expected in images of N(0, variance), at any place in the table."""

    def __init__(self, table: Tensor, variance: float) -> None:
        super().__init__()
        self.table, self.variance = table, variance

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        below = level.long()
        s = self.table[below].lerp(self.table[(below + 1).clamp(max=len(self.table) - 1)], level - below)
        s = s.view(-1, 1, 1, 1)
        alpha = (1 + s * s).rsqrt()
        return s * alpha * x / (alpha**2 * self.variance + (s * alpha) ** 2)


def of_gaussian(kind: torch.dtype) -> Diffusion:
    """A model of N(0, 1/4) without an error of its own."""
    table = linear().table.float().to(kind)
    return Diffusion(lambda **facts: Exact(table, 0.25), Path(table, preserving), eps, SHAPE, bound=1.0).to(kind)


@pytest.fixture
def exact() -> Diffusion:
    """The same in float64."""
    return of_gaussian(torch.float64)


def ddpm(classes: int = 3, conditional: bool = True) -> Diffusion:
    """A small one that has learnt nothing."""
    net = partial(UNet, width=8, blocks=1)
    return Diffusion(net, linear(), eps, (1, 8, 8), classes, conditional, bound=1.0)


@pytest.fixture
def small() -> Diffusion:
    torch.manual_seed(0)
    model = ddpm()
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return model.eval()


def labels(*of: int) -> Given:
    return {"labels": torch.tensor(of)}


def test_what_it_can_do(small: Diffusion) -> None:
    assert isinstance(small, Model)
    assert isinstance(small, Encodes)
    assert abilities(small) == ("sample", "encode", "score", "edit", "conditional")
    assert abilities(ddpm(conditional=False)) == ("sample", "encode", "score", "edit")
    assert small.latent_shape == small.image_shape == (1, 8, 8)
    assert all(key.startswith("net.") for key in small.state_dict())


def test_the_estimate_is_the_gaussian_s(exact: Diffusion) -> None:
    s = exact.table[[0, 10, 500, 999]]
    y = torch.randn(4, *SHAPE, dtype=torch.float64)
    best = (0.25 / (0.25 + s * s)).view(-1, 1, 1, 1) * y
    torch.testing.assert_close(exact.denoise(y, s), best, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in ("consistency", "average")])
def test_samples_have_the_data_s_spread(exact: Diffusion, sampler: str) -> None:
    exact.bound = math.inf
    x = exact.sample(Draw(range(400)), sampler=sampler, steps=200)
    assert x.square().mean().item() == pytest.approx(0.25, rel=5 * math.sqrt(2 / x.numel()) + 0.05)


def test_estimates_are_kept_within_bounds(exact: Diffusion) -> None:
    def most(bound: float | None) -> float:
        path = Path(exact.table, preserving)
        model = Diffusion(lambda **facts: exact.net, path, eps, SHAPE, bound=bound).double()
        return model.sample(Draw(range(50)), steps=20).abs().max().item()

    assert most(None) > 1
    assert most(1.0) <= 1
    assert most(0.3) <= 0.3


def test_encoding_is_undone_by_decoding(exact: Diffusion) -> None:
    """To a tenth of a uint8 step, by 48 estimates each way; what it is encoded to is the flow's."""
    x = 0.4 * torch.randn(3, *SHAPE, dtype=torch.float64).clamp(-2, 2)
    z = exact.encode(x)
    assert (exact.decode(z) - x).abs().max() * 127.5 < 0.1
    top = exact.table[-1].item()
    truth = math.sqrt((0.25 + top**2) / (0.25 + FLOOR**2)) * x / exact.spread()
    torch.testing.assert_close(exact.encode(x, steps=50), truth, rtol=1e-3, atol=1e-3)  # FLOOR is under the table


def test_decoding_is_sampling_without_fresh_noise(exact: Diffusion) -> None:
    """Of the same noise `sample` makes the same image, where its sampler draws none, but for the last level's noise."""
    exact.bound = math.inf
    z = Draw([4, 9]).normal(*SHAPE).double()
    made = exact.sample(Draw([4, 9]), sampler="heun", schedule="log-snr", steps=200)
    torch.testing.assert_close(exact.decode(z, steps=100), made, rtol=0, atol=2e-3)


def test_class_and_noise_are_told_apart(small: Diffusion) -> None:
    """What is encoded as one class and decoded as another is another image; as the same class it is the same."""
    x = torch.rand(2, 1, 8, 8) * 2 - 1
    z = small.encode(x, labels(0, 1))
    assert not torch.allclose(small.decode(z, labels(2, 2)), small.decode(z, labels(0, 1)), atol=1e-3)


def test_images_are_scored(small: Diffusion) -> None:
    """Bounds, by several ways; each image follows its own draws, and its class counts."""
    x, given = to_float(torch.randint(0, 256, (3, 1, 8, 8), dtype=torch.uint8)), labels(0, 1, 2)
    for by, samples in (("variational", 2), ("ancestral", 3), ("flow", 1)):
        score = partial(small.log_likelihood, samples=samples, by=by)
        together = score(x, Draw([3, 7, 9]), given)
        assert together.bound
        assert together.by
        assert together.nats.shape == (3,)
        alone = score(x[1:2], Draw([7]), labels(1)).nats
        torch.testing.assert_close(together.nats[1:2], alone, rtol=1e-4, atol=1e-2)
        assert not torch.allclose(score(x[1:2], Draw([7]), labels(2)).nats, alone, rtol=1e-5)
    with pytest.raises(UsageError, match="0 samples"):
        small.log_likelihood(x, Draw([3, 7, 9]), given, samples=0)
    with pytest.raises(UsageError, match="did you mean 'flow'"):
        small.log_likelihood(x, Draw([3, 7, 9]), given, by="flwo")


def test_single_precision_is_enough() -> None:
    """Float32 is within a thousandth of a bit per dimension of float64."""
    x = to_float(torch.randint(64, 192, (4, *SHAPE), dtype=torch.uint8))
    one, two = (of_gaussian(kind).log_likelihood(x.to(kind), Draw(range(4)), by="flow")
                for kind in (torch.float64, torch.float32))  # fmt: skip
    torch.testing.assert_close(one.bits_per_dim(SHAPE), two.bits_per_dim(SHAPE), rtol=0, atol=1e-3)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "rk45"])  # see test_adaptive.py
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
    for steps in (0, 1001):
        with pytest.raises(UsageError, match="give 1 to 1000"):
            small.sample(Draw([0]), labels(0), steps=steps)
    with pytest.raises(UsageError, match="give 2 or more"):
        small.sample(Draw([0]), labels(0), sampler="rk45", steps=1)
    with pytest.raises(UsageError, match="cannot be fitted; give one of ddim"):
        small.fitted(Draw([0]), labels(0), sampler="ancestral")


def test_classes_are_taken_only_where_there_are_any() -> None:
    assert ddpm(10, conditional=False).classes == 0
    assert ddpm(10).classes == 10
    with pytest.raises(UsageError, match=r"model\.conditional=false"):
        ddpm(0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_fall_from_the_top_to_zero(exact: Diffusion, schedule: str) -> None:
    down = exact.levels(schedule, 7)
    assert down.dtype == torch.float64
    assert len(down) == 8
    assert (down.diff() < 0).all()
    assert down[0].item() == pytest.approx(exact.table[-1].item(), rel=1e-6)
    assert down[-1] == 0
    assert down[-2] >= exact.table[0] * (1 - 1e-6)
    assert torch.equal(exact.levels(down), down)
    with pytest.raises(UsageError, match="'karras'"):
        exact.sample(Draw([0]), schedule="karas")


def test_karras_is_the_paper_s() -> None:
    """Equation 5 with 18 steps from 80 to 0.002: the second level is 57.5860, the last but one 0.002."""
    down = SCHEDULES["karras"](torch.tensor([0.002, 80.0], dtype=torch.float64), 18)
    first = (80 ** (1 / 7) + 1 / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    assert down[1].item() == pytest.approx(first, rel=1e-12)
    assert down[-2].item() == pytest.approx(0.002, rel=1e-12)


def test_the_model_s_own_way_is_the_default(exact: Diffusion) -> None:
    exact.steps, exact.schedule, exact.sampler = 5, "karras", "ancestral"
    own = exact.sample(Draw([1, 2]))
    assert torch.equal(own, exact.sample(Draw([1, 2]), sampler="ancestral", steps=5, schedule="karras"))
    assert not torch.equal(own, exact.sample(Draw([1, 2]), steps=6))


def test_guidance_is_away_from_any_class(small: Diffusion) -> None:
    """At scale 1 the plain call, at 0 that without labels, bit for bit; and outside its interval nothing."""
    plain = small.sample(Draw([0, 1]), labels(0, 2), steps=3)
    assert torch.equal(small.sample(Draw([0, 1]), labels(0, 2), steps=3, guidance=1.0), plain)
    unknown = small.sample(Draw([0, 1]), steps=3)
    assert torch.equal(small.sample(Draw([0, 1]), labels(0, 2), steps=3, guidance=0.0), unknown)
    strong = small.sample(Draw([0, 1]), labels(0, 2), steps=3, guidance=3.0)
    assert not torch.equal(strong, plain)
    assert torch.equal(small.sample(Draw([0, 1]), labels(0, 2), steps=3, guidance=3.0, interval=(1e6, 1e7)), plain)
    with pytest.raises(UsageError, match="neither classes"):
        ddpm(conditional=False).sample(Draw([0]), guidance=2.0)


def test_autoguidance_is_away_from_a_weaker_self(exact: Diffusion) -> None:
    """Exact models of N(0, 1/4) and N(0, 1): the guided one is narrower, by the closed form."""
    exact.bound = math.inf
    path = Path(exact.table, preserving)
    weaker = Diffusion(lambda **facts: Exact(exact.table, 1.0), path, eps, SHAPE).double()
    z = Draw(range(3)).normal(*SHAPE).double()
    made = exact.sample(Draw(range(3)), steps=1000, weaker=weaker, autoguidance=2.0)
    top = exact.table[-1].item() ** 2
    factor = 0.25 / (0.25 + top) * ((1 + top) / 1.0) ** 0.5  # w = 2: (l_c / ..)^1 (l_u / ..)^(-1/2)
    torch.testing.assert_close(made, factor * z * exact.spread(), rtol=0.02, atol=1e-3)
    net = ddpm()
    self_guided = net.sample(Draw([0, 1]), labels(0, 2), steps=3, weaker=net, autoguidance=3.0)
    torch.testing.assert_close(self_guided, net.sample(Draw([0, 1]), labels(0, 2), steps=3), rtol=0, atol=1e-4)
    for wrong in (None, ddpm()):
        with pytest.raises(UsageError, match="weaker model"):
            exact.sample(Draw([0]), weaker=wrong, autoguidance=2.0)


class Velocity(nn.Module):
    """The exact velocity at x_t of N(mean, variance), for the table of `straight(steps)`."""

    def __init__(self, steps: int, mean: float, variance: float) -> None:
        super().__init__()
        self.steps, self.mean, self.variance = steps, mean, variance

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        t = ((level + 1) / (self.steps + 1)).view(-1, 1, 1, 1)
        pull = (t - (1 - t) * self.variance) / ((1 - t) ** 2 * self.variance + t**2)
        return pull * (x - (1 - t) * self.mean) - self.mean


def test_a_flow_goes_where_the_exact_velocity_leads() -> None:
    """x_0 = m + sqrt(l) z and back, for vectors and no bounds; so do samples go, by more steps."""
    path = straight(4000)
    model = Diffusion(lambda **facts: Velocity(4000, 3.0, 0.25), path, flow_scaling, (6, 1, 1)).double()
    model.table = path.table  # in float64
    z = Draw(range(50)).normal(6, 1, 1).double()

    torch.testing.assert_close(model.decode(z, steps=40), 3 + 0.5 * z, rtol=0, atol=3e-3)
    torch.testing.assert_close(model.encode(model.decode(z, steps=40), steps=40), z, rtol=0, atol=1e-3)
    made = model.sample(Draw(range(50)), sampler="ddim", steps=4000)
    torch.testing.assert_close(made, 3 + 0.5 * z, rtol=0, atol=3e-3)


def test_a_flow_s_likelihood_is_the_gaussian_s() -> None:
    """Of N(3, 1/4), at images that dequantisation moved; exact traces."""
    path = straight(4000)
    model = Diffusion(lambda **facts: Velocity(4000, 3.0, 0.25), path, flow_scaling, (6, 1, 1)).double()
    model.table = path.table
    x = 3 + 0.5 * Draw(range(5)).normal(6, 1, 1).double()
    nats = model.log_likelihood(x, Draw(range(5)), by="exact-flow").nats
    truth = torch.distributions.Normal(3.0, math.hypot(0.5, FLOOR)).log_prob(dequantised(x, Draw(range(5))))
    torch.testing.assert_close(nats, truth.flatten(1).sum(1) + 6 * math.log(STEP), rtol=0, atol=0.02)


@pytest.mark.parametrize("net", [UNet, ResidualMlp])
def test_flows_are_for_vectors_too(net: Callable[..., nn.Module]) -> None:
    model = Diffusion(partial(net, width=8, blocks=1), straight(), flow_scaling, (5, 1, 1), 3, conditional=True).eval()
    assert model.sample(Draw([0, 1]), labels(0, 2), steps=3).shape == (2, 5, 1, 1)
    assert model.bound == math.inf


def test_texts_are_read_once_and_heard() -> None:
    """A model with a reader: what it says of one text is not what it says of another, nor of none."""
    torch.manual_seed(0)
    model = Diffusion(
        partial(UNet, width=8, blocks=1), straight(), flow_scaling, (1, 8, 8), reader=ByteReader(8, 8, 1, 2)
    )
    for parameter in model.net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    model.eval()
    calls: list[int] = []
    model.reader.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr]
    assert abilities(model) == ("sample", "encode", "score", "edit", "text")
    texts = [written([text, "a red cat"], 16) for text in ("a red cat", "a blue dog", "")]
    red, blue, none = (model.sample(Draw([0, 1]), {"text": text}, steps=3) for text in texts)
    assert len(calls) == 3
    assert not torch.allclose(red[0], blue[0])
    assert torch.allclose(red[1], blue[1], atol=1e-4)
    torch.testing.assert_close(none[:1], model.sample(Draw([0]), steps=3), rtol=0, atol=1e-4)
    strong = model.sample(Draw([0, 1]), {"text": texts[0]}, steps=3, guidance=3.0)
    assert not torch.allclose(strong, red)
