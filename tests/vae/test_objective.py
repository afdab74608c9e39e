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
from triptych.vae.model import Vae, vae
from triptych.vae.objective import Elbo


@pytest.fixture
def model() -> Vae:
    torch.manual_seed(0)
    return vae((1, 8, 8), latent=5, width=4, hidden=16)


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
