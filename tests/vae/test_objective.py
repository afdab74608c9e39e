"""The objective: one turn, losses in nats, and what is logged beside them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from triptych import chance
from triptych.core import Batch, Stats
from triptych.errors import UsageError
from triptych.ramps import warm_up
from triptych.vae.likelihood import logistic
from triptych.vae.model import Vae, vae
from triptych.vae.objective import Elbo
from triptych.vae.prior import gaussians, normal


@pytest.fixture
def model() -> Vae:
    torch.manual_seed(0)
    return vae((1, 8, 8), 0, logistic((1, 8, 8)), normal(), latent=5, width=4, hidden=16)


def play(objective: Elbo, model: Vae, seen: int = 0) -> tuple[Tensor, Stats]:
    (turn,) = objective.turns(model)
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    chance.reseed(0, 0, turn.name)
    return turn.loss(Batch(x), seen)


def test_one_turn_moves_the_whole_model(model: Vae) -> None:
    (turn,) = Elbo().turns(model)
    assert turn.name == "bound"
    assert {id(p) for p in turn.moves} == {id(p) for p in model.parameters()}


def test_the_loss_is_the_negative_bound(model: Vae) -> None:
    losses, stats = play(Elbo(), model)
    assert losses.shape == (16,)
    assert losses.requires_grad
    assert not any(value.requires_grad for value in stats.values())
    nats = stats["reconstruction"] + stats["kl"]
    torch.testing.assert_close(losses.mean(), nats)
    torch.testing.assert_close(stats["bound"], nats / (64 * math.log(2)))


def test_beta_and_warm_up_weigh_the_kl_but_not_the_logged_bound(model: Vae) -> None:
    plain, stats = play(Elbo(), model)
    heavy, logged = play(Elbo(beta=4.0), model)
    torch.testing.assert_close(heavy.mean() - plain.mean(), 3 * stats["kl"])
    assert logged["bound"] == stats["bound"]
    half, _ = play(Elbo(warm_up=warm_up(1000)), model, seen=500)
    torch.testing.assert_close(plain.mean() - half.mean(), stats["kl"] / 2)


def test_free_bits_are_a_floor_for_each_latent(model: Vae) -> None:
    _, stats = play(Elbo(), model)
    floor = 1.5  # nats, above what any latent spends at first
    losses, _ = play(Elbo(free_bits=floor), model)
    torch.testing.assert_close(losses.mean(), stats["reconstruction"] + 5 * floor)
    losses, _ = play(Elbo(free_bits=1e-9), model)
    torch.testing.assert_close(losses.mean(), stats["reconstruction"] + stats["kl"])


@torch.no_grad()
def test_active_units_count_means_that_vary(model: Vae) -> None:
    head = model.encoder[-1]
    assert isinstance(head, nn.Linear)
    head.weight[:2] = 0
    head.weight[2:5] *= 100
    assert int(play(Elbo(), model)[1]["active"]) == 3


def test_wrong_wishes_are_named(model: Vae) -> None:
    with pytest.raises(UsageError, match="beta"):
        Elbo(beta=-1.0)
    with pytest.raises(UsageError, match="free_bits"):
        Elbo(free_bits=-1.0)
    with pytest.raises(UsageError, match="Linear"):
        Elbo().turns(nn.Linear(1, 1))


def test_more_weighted_draws_tighten_the_bound(model: Vae) -> None:
    with torch.no_grad():
        model.encoder[-1].weight *= 20  # posteriors that are far from right
    x = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    means = []
    for samples in (1, 5, 25):
        (turn,) = Elbo(samples=samples).turns(model)
        chance.reseed(0, 0, "x")
        means.append(float(turn.loss(Batch(x), 0)[0].mean().detach()))
    assert means == sorted(means, reverse=True)


def test_the_weighted_bound_has_no_kl_to_weigh() -> None:
    with pytest.raises(UsageError, match="samples"):
        Elbo(samples=5, free_bits=0.1)
    with pytest.raises(UsageError, match="samples"):
        Elbo(samples=0)


def test_a_decoder_learns_alone(model: Vae) -> None:
    (turn,) = Elbo(only="decoder").turns(model)
    moving = {id(p) for p in turn.moves}
    assert moving == {id(p) for p in [*model.decoder.parameters(), *model.noise.parameters()]}


def test_a_fitted_prior_has_a_turn_of_its_own_that_leaves_the_encoder_alone() -> None:
    torch.manual_seed(0)
    shape = (1, 8, 8)
    model = vae(shape, 0, logistic(shape), normal(), gaussians(3), latent=5, width=4, hidden=16)
    bound, prior = Elbo().turns(model)
    assert model.fitted is not None
    assert {id(p) for p in prior.moves} == {id(p) for p in model.fitted.parameters()}
    assert {id(p) for p in bound.moves}.isdisjoint(id(p) for p in prior.moves)
    prior.loss(Batch(torch.zeros(4, *shape)), 0)[0].sum().backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(p.grad is not None for p in prior.moves)


def test_a_collapse_is_seen(model: Vae) -> None:
    """A decoder that ignores z and a KL that is dear: the latents fall asleep, and the count of active ones says so."""
    (turn,) = Elbo(beta=1000).turns(model)
    optimiser = torch.optim.Adam(turn.moves, 1e-2)
    x = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for step in range(60):
        chance.reseed(0, step, "x")
        losses, stats = turn.loss(Batch(x), step)
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
    assert int(stats["active"]) == 0
    assert float(stats["kl"]) < 0.1
