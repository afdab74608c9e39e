"""The hierarchical VAE: bounds of linear chains in closed form, levels, chance, and steps that are skipped."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from triptych import chance
from triptych.chance import Draw
from triptych.core import Batch, Shape, abilities
from triptych.errors import UsageError
from triptych.pixels import to_float
from triptych.ramps import warm_up
from triptych.training.ema import Ema
from triptych.training.loop import train
from triptych.training.optimisers import adam
from triptych.training.state import Cast, State
from triptych.vae.densities import STEP, Density
from triptych.vae.hierarchical import Hierarchical
from triptych.vae.hvae import HierarchicalVae, hvae
from triptych.vae.likelihood import Located, logistic, mixture
from triptych.vae.posterior import LIMIT, Posterior
from triptych.vae.topdown import TopDown, relative

SHAPES = [(1, 8, 8), (3, 13, 37), (2, 9, 8), (4, 24, 64), (3, 32, 32)]
SMALL: Shape = (1, 8, 8)


def images(count: int, shape: Shape, seed: int = 0) -> Tensor:
    """Random uint8 images as the models see them."""
    generator = torch.Generator().manual_seed(seed)
    return to_float(torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8))


def tiny(shape: Shape = SMALL, awake: float = 0.0, **values: Any) -> HierarchicalVae:
    """A small model; with `awake` the layers that start at zero are drawn with that deviation instead."""
    torch.manual_seed(0)
    sizes = {"classes": 0, "noise": mixture(shape, 2), "levels": (1, 2), "width": 8, "latent": 2}
    model = hvae(shape, **{**sizes, **values}).eval()
    for parameter in model.parameters():
        if awake and not parameter.any():
            nn.init.normal_(parameter, std=awake)
    return model


def play(model: HierarchicalVae, objective: Hierarchical, x: Tensor, seen: int = 0, **given: Tensor) -> Any:
    (turn,) = objective.turns(model)
    chance.reseed(0, 0, turn.name)
    return turn.loss(Batch(x, given), seen)


class Silent(nn.Module):
    """A block that does nothing."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.zeros_like(h)


class Linear(nn.Module):
    """Features (B, F, 1, 1) to matrix h + offset, both float64."""

    def __init__(self, matrix: list[list[float]], offset: list[float]) -> None:
        super().__init__()
        self.matrix, self.offset = (torch.tensor(numbers, dtype=torch.float64) for numbers in (matrix, offset))

    def forward(self, h: Tensor) -> Tensor:
        return (h[:, :, 0, 0] @ self.matrix.T + self.offset)[:, :, None, None]


class Seen(nn.Module):
    """An encoder that shows the image as it is, beside a zero."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [torch.cat([x, torch.zeros_like(x)], 1)]


def raw(variance: float) -> float:
    """What a network must answer for this variance, under the soft limit."""
    return LIMIT * math.atanh(math.log(variance) / LIMIT)


A, S, R = 0.8, 0.6, 0.3  # of the chain z1 ~ N(0, 1), z2 ~ N(A z1, S), x ~ N(z2, R)


def chain(slope: float = A / (A * A + S + R), spread: float = (S + R) / (A * A + S + R)) -> HierarchicalVae:
    """The chain with the exact posterior, or another q(z1 | x) = N(slope x, spread); h is (z1, z2)."""
    noise = Located(1, Density(lambda x, at, scale: Normal(at, scale).log_prob(x), torch.special.ndtri))
    model = HierarchicalVae((1, 1, 1), Seen(), TopDown(1, [(1, 1)], [2], 2, 1), noise).double()
    nn.init.constant_(noise.log_scale, math.log(math.sqrt(R) - STEP / 2))
    model.decoder.leave = Linear([[0, 1]], [0])  # type: ignore[assignment]
    first, second = model.decoder.stages[0].levels  # type: ignore[union-attr, misc]
    first.enter, second.enter = Linear([[1], [0]], [0, 0]), Linear([[0], [1]], [0, 0])
    first.after = second.after = nn.Identity()
    first.prior = Linear([[0, 0]] * 4, [0, 0, 0, 0])
    second.prior = Linear([[A, 0], [0, 0], [0, 0], [0, 0]], [0, raw(S), 0, 0])
    first.posterior = Linear([[0, 0, slope, 0], [0, 0, 0, 0]], [0, raw(spread)])
    share = S / (S + R)  # z2 given z1 and x lies between what both say of it
    second.posterior = Linear([[(1 - share) * A, 0, share, 0], [0, 0, 0, 0]], [0, raw(share * R)])
    return model


X = torch.tensor([1.3, -0.4, 2.0], dtype=torch.float64).view(3, 1, 1, 1)
LOG_P = Normal(0, torch.tensor(A * A + S + R, dtype=torch.float64).sqrt()).log_prob(X.flatten())


@torch.no_grad()
@pytest.mark.parametrize("samples", [1, 3, 17])
def test_the_exact_posterior_of_a_chain_makes_every_weight_equal(samples: int) -> None:
    nats = chain().log_likelihood(X, Draw(range(3)), samples=samples).nats
    torch.testing.assert_close(nats, LOG_P, rtol=0, atol=1e-12)


@torch.no_grad()
def test_another_posterior_costs_its_divergence_from_the_exact_one() -> None:
    slope, spread, count = 0.1, 0.9, 20_000
    model, x = chain(slope, spread), X[:1].expand(count, 1, 1, 1)
    exact = Normal(1.3 * A / (A * A + S + R), math.sqrt((S + R) / (A * A + S + R)))
    gap = float(kl_divergence(Normal(1.3 * slope, math.sqrt(spread)), exact))
    torch.manual_seed(0)
    weights = model.log_weight(x, model.encoder(x), torch.randn(count, 2, dtype=torch.float64))
    assert float(LOG_P[0] - weights.mean()) == pytest.approx(gap, abs=5 * float(weights.std()) / math.sqrt(count))
    means = [float(model.log_likelihood(x[:2000], Draw(range(2000)), samples=k).nats.mean()) for k in (1, 4, 16)]
    assert means == sorted(means)
    assert means[-1] < float(LOG_P[0]) + 0.01


@torch.no_grad()
def test_the_objective_is_the_bound_of_the_chain() -> None:
    """Its KL is analytic: with the exact posterior the mean over draws is log p(x)."""
    x = X[:1].expand(20_000, 1, 1, 1)
    losses, stats = play(chain(), Hierarchical(), x)
    assert float(losses.mean()) == pytest.approx(-float(LOG_P[0]), abs=5 * float(losses.std()) / math.sqrt(20_000))
    torch.testing.assert_close(stats["reconstruction"] + stats["kl"], losses.mean())


def test_a_posterior_told_in_the_noise_of_its_prior_has_the_same_divergence() -> None:
    torch.manual_seed(0)
    q, p = (Posterior(torch.randn(4, 6).double(), torch.randn(4, 6).double()) for _ in range(2))
    told, noise = relative(q, p), torch.randn(4, 6).double()
    truth = kl_divergence(*(Normal(g.mean, (0.5 * g.log_variance).exp()) for g in (q, p)))
    torch.testing.assert_close(told.kl(), truth)
    torch.testing.assert_close(p.at(told.at(noise)), q.at(noise))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_shapes(shape: Shape) -> None:
    model, x, draw = tiny(shape, 0.1), images(2, shape), Draw([0, 1])
    e = model.encode(x)
    assert e.shape == (2, *model.latent_shape) == model.spent(x).shape
    assert model.levels[-1] == (2, *shape[1:])
    assert [part.shape[1:] for part in model.split(e)] == model.levels
    assert torch.equal(torch.cat([part.flatten(1) for part in model.split(e)], 1), e)
    for pictures in (model.decode(e), model.reconstruct(x), model.sample(draw), model.sample(draw, pixels="draw")):
        assert pictures.shape == x.shape
        assert pictures.abs().max() <= 1 + 1e-5
    nats = model.log_likelihood(x, draw, samples=2).nats
    assert nats.shape == (2,)
    assert torch.isfinite(nats).all()


@torch.no_grad()
def test_levels_are_counted_from_the_image_down_and_the_last_number_goes_on() -> None:
    shape = (1, 16, 16)
    assert tiny(shape, levels=(1, 2), core=2).levels == [(2, 2, 2)] * 2 + [(2, 4, 4)] * 2 + [(2, 8, 8)] * 2 + [
        (2, 16, 16)
    ]
    assert tiny(shape, levels=(3, 1, 9), core=8).levels == [(2, 8, 8)] + [(2, 16, 16)] * 3


def test_it_starts_without_spending_a_nat() -> None:
    model = tiny((3, 16, 16))
    losses, stats = play(model, Hierarchical(), images(8, (3, 16, 16)))
    assert float(stats["kl"]) == 0
    assert 8 < float(stats["bound"]) < 20
    losses.mean().backward()
    level = model.decoder.stages[0].levels[0]  # type: ignore[union-attr, index]
    assert level.prior[-1].bias.grad.any()  # type: ignore[union-attr, index]
    assert level.posterior[-1].weight.grad.any()  # type: ignore[union-attr, index]


@torch.no_grad()
def test_an_image_follows_its_seed_alone() -> None:
    model, x = tiny(awake=0.1), images(3, SMALL)
    for made in (model.sample, lambda draw: model.sample(draw, temperature=0.5, pixels="draw")):
        alone, among = made(Draw([7])), made(Draw([3, 7, 9]))
        torch.testing.assert_close(among[1:2], alone, rtol=0, atol=1e-5)
        assert not torch.equal(among[0], among[1])
    alone, among = model.encode(x[1:2], draw=Draw([7])), model.encode(x, draw=Draw([3, 7, 9]))
    torch.testing.assert_close(among[1:2], alone, rtol=0, atol=1e-4)
    nats = model.log_likelihood(x, Draw([3, 7, 9]), samples=4).nats
    torch.testing.assert_close(nats[1:2], model.log_likelihood(x[1:2], Draw([7]), samples=4).nats)


@torch.no_grad()
def test_a_draw_of_the_latents_is_where_the_way_down_went() -> None:
    """Decoding the latents that inference drew gives the very answers that inference saw."""
    model, x = tiny(awake=0.2), images(3, SMALL)
    found = model.infer(model.encoder(x), Draw(range(3)).normal(*model.latent_shape))
    torch.testing.assert_close(model.decode(found.e), model.noise.mean(found.answers), rtol=0, atol=1e-5)
    assert (found.q.kl() > 0).any()


@torch.no_grad()
def test_temperature_multiplies_the_noise_of_every_level() -> None:
    model, draw = tiny(awake=0.2), Draw([0, 1])
    cooled = model.sample(draw, temperature=0.3)
    torch.testing.assert_close(cooled, model.decode(0.3 * Draw([0, 1]).normal(*model.latent_shape)))
    for wrong in ({"temperature": 0.0}, {"temperature": 2.5}, {"pixels": "x"}):
        with pytest.raises(UsageError, match="temperature"):
            model.sample(draw, **wrong)  # type: ignore[arg-type]


def test_free_bits_are_a_floor_for_each_level_and_the_bound_does_not_know() -> None:
    model, x = tiny(awake=0.1), images(16, SMALL)
    plain, stats = play(model, Hierarchical(), x)
    floor = 1e4  # above what any level spends
    held, told = play(model, Hierarchical(free_bits=floor), x)
    torch.testing.assert_close(held.mean(), stats["reconstruction"] + len(model.levels) * floor)
    assert told["bound"] == stats["bound"]
    half, _ = play(model, Hierarchical(warm_up=warm_up(1000)), x, seen=500)
    torch.testing.assert_close(plain.mean() - half.mean(), stats["kl"] / 2, rtol=1e-4, atol=1e-4)


def test_classes_are_heard() -> None:
    model, x = tiny(awake=0.2, classes=3, conditional=True), images(2, SMALL)
    assert model.classes == 3
    draws = [model.sample(Draw([0]), {"labels": torch.tensor([label])}) for label in (-1, 0, 1)]
    assert not torch.allclose(draws[0], draws[1])
    assert not torch.allclose(draws[1], draws[2])
    play(model, Hierarchical(), x, labels=torch.tensor([0, 2]))[0].mean().backward()
    assert model.decoder.told.grad is not None
    assert model.decoder.told.grad[0].any()
    assert not model.decoder.told.grad[1].any()
    torch.testing.assert_close(model.encode(x), model.encode(x, {"labels": torch.tensor([-1, -1])}))
    with pytest.raises(UsageError, match="labels"):
        model.sample(Draw([0]))
    with pytest.raises(UsageError, match="conditional"):
        tiny(conditional=True)


def test_learns_what_it_sees() -> None:
    x = images(8, SMALL).sign()
    model = tiny(noise=logistic(SMALL), levels=(1,), width=32, latent=4)
    (turn,) = Hierarchical().turns(model)
    optimiser, history = torch.optim.Adam(turn.moves, 1e-2), []
    for step in range(40):
        chance.reseed(0, step, "bound")
        losses, stats = turn.loss(Batch(x), step)
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        history.append(float(stats["bound"]))
    assert history[-1] < 0.6 * history[0]
    assert float(stats["kl"]) > 1
    assert float((model.reconstruct(x).sign() == x).float().mean()) > 0.95


class Poisoned:
    """A stream whose every third batch lies far outside of what images can be."""

    def batch(self, seen: int) -> Batch:
        return Batch(images(4, SMALL, seen) * (100 if seen % 12 == 8 else 1))


def rehearsed(steps: int, before: tuple[Cast, State] | None = None) -> tuple[Cast, State, list[float]]:
    """A small model trained for so many steps in all, after what was `before`; and which of them were skipped."""
    model, objective, skipped = tiny(), Hierarchical(), []
    turns = objective.turns(model)
    cast, state = (
        Cast(model, objective, {"bound": adam(1e-3, skip=1e4)(turns[0].moves)}, Ema(model, 100, 0.05)),
        State(0),
    )
    if before:
        old, state = before
        cast.restore(old.shown.state_dict(), old.tensors())
    train(
        cast, turns, Poisoned(), state, lambda state: state.steps >= steps, [],
        lambda turn, stats: skipped.append(float(stats["skipped"])), nullcontext,
    )  # fmt: skip
    return cast, state, skipped


def test_skipped_steps_move_nothing_are_counted_and_resume_bit_for_bit() -> None:
    whole, _, skipped = rehearsed(8)
    assert skipped == [0, 0, 1, 0, 0, 1, 0, 0]
    cast, state, _ = rehearsed(2)
    before = {name: tensor.clone() for name, tensor in cast.model.state_dict().items()}
    cast, state, skipped = rehearsed(3, (cast, state))
    assert skipped == [1]
    assert all(torch.equal(tensor, before[name]) for name, tensor in cast.model.state_dict().items())
    parts, _, _ = rehearsed(8, (cast, state))
    for one, other in ((whole.shown.state_dict(), parts.shown.state_dict()), (whole.tensors(), parts.tensors())):
        assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_what_it_can_do() -> None:
    assert abilities(tiny()) == ("sample", "encode", "score")


@pytest.mark.parametrize("values", [{"levels": ()}, {"levels": (1, 0)}, {"width": 0}, {"latent": 0}])
def test_wrong_sizes_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        tiny(**values)


def test_wrong_wishes_are_named() -> None:
    with pytest.raises(UsageError, match="samples"):
        tiny().log_likelihood(images(1, SMALL), Draw([0]), samples=0)
    with pytest.raises(UsageError, match="free_bits"):
        Hierarchical(free_bits=-1.0)
    with pytest.raises(UsageError, match="Linear"):
        Hierarchical().turns(nn.Linear(1, 1))  # type: ignore[arg-type]
