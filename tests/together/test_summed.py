"""Sums of objectives: losses and gradients add exactly, and what is not shared stays as it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tiny import TINY
from triptych import chance, recipe, schema
from triptych.core import Batch, Model, Objective, Turn
from triptych.errors import UsageError
from triptych.together.summed import Summed

FACTS = {"image_shape": (1, 8, 8), "classes": 0}


class Pull(Objective):
    """One turn that pulls some parameters towards a number; it logs how far they are."""

    def __init__(self, name: str, towards: float, which: tuple[str, ...], every: int = 1, own: bool = False) -> None:
        super().__init__()
        self.name, self.towards, self.which, self.every = name, towards, which, every
        self.mine = nn.Parameter(torch.ones(1)) if own else None

    def turns(self, model: nn.Module) -> list[Turn]:  # type: ignore[override]
        moves = [getattr(model, name) for name in self.which] + ([self.mine] if self.mine is not None else [])

        def loss(batch: Batch, seen: int) -> tuple[Tensor, dict[str, Tensor]]:
            away = sum((p - self.towards).square().sum() for p in moves) * batch.images.flatten(1).mean(1)
            return away, {"away": away.detach().mean()}

        return [Turn(self.name, moves, loss, self.every)]


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Parameter(torch.full((1,), float(n))) for n in range(3))


BATCH = Batch(torch.tensor([1.0, 3.0]).view(2, 1, 1, 1))


def test_losses_and_numbers_add() -> None:
    model = Two()
    (turn,) = Summed(Pull("one", 5.0, ("a", "b")), Pull("two", -1.0, ("b", "c"))).turns(model)  # type: ignore[arg-type]
    assert turn.name == "one"
    assert [id(p) for p in turn.moves] == [id(p) for p in (model.a, model.b, model.c)]
    losses, stats = turn.loss(BATCH, 0)
    one, two = 25.0 + 16.0, 4.0 + 9.0
    assert losses.tolist() == [one + two, 3 * (one + two)]
    assert {name: value.item() for name, value in stats.items()} == {
        "away": 2 * one, "two_loss": 2 * two, "two_away": 2 * two,
    }  # fmt: skip
    losses.mean().backward()
    assert [p.grad.item() for p in turn.moves] == [-20.0, 4 * (1 - 5) + 4 * (1 + 1), 12.0]


def test_a_turn_that_meets_two_is_added_to_both() -> None:
    """Each parameter goes down all that is said of it, and moves once."""
    model = Two()
    first = Summed(Pull("one", 0.0, ("a",)), Pull("two", 0.0, ("b",)))
    one, two = Summed(first, Pull("x", 3.0, ("a", "b", "c"))).turns(model)  # type: ignore[arg-type]
    assert [[id(p) for p in turn.moves] for turn in (one, two)] == [[id(model.a), id(model.c)], [id(model.b)]]
    for turn, slopes in ((one, [2 * (0 + 0 - 3), 2 * (2 - 3)]), (two, [2 * (1 + 1 - 3)])):
        losses, _ = turn.loss(BATCH, 0)
        assert [g.item() for g in torch.autograd.grad(losses.mean() / 2, list(turn.moves))] == slopes


def test_others_stay_as_they_are_and_sums_nest() -> None:
    model = Two()
    apart = Summed(
        Pull("one", 0.0, ("a",)), Summed(Pull("two", 0.0, ("b",), every=3, own=True), Pull("x", 1.0, ("a",)))
    )
    one, two = apart.turns(model)  # type: ignore[arg-type]
    assert (one.name, two.name, two.every) == ("one", "two", 3)
    assert set(one.loss(BATCH, 0)[1]) == {"away", "x_loss", "x_away"}
    assert set(two.loss(BATCH, 0)[1]) == {"away"}
    assert len(list(apart.parameters())) == 1  # those of the parts are the sum's


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (Pull("one", 0.0, ("a",)), Pull("two", 0.0, ("a",), every=2), "one rhythm"),
        (Pull("one", 0.0, ("a",)), Pull("one", 0.0, ("b",)), "two turns are called one"),
    ],
)
def test_sums_that_are_not_clear(first: Objective, second: Objective, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Summed(first, second).turns(Two())  # type: ignore[arg-type]


def made(node: dict[str, object]) -> tuple[Model, Objective]:
    """A tiny VAE and what is to train it."""
    chance.reseed(0)
    model = schema.build("model", schema.complete(recipe.read("vae", "digits", None, TINY["vae"]))["model"], FACTS)
    chance.reseed(1)
    return model, schema.build("objective", schema.complete_node("objective", node, "objective"), FACTS)


GAME = {
    "kind": "adversarial",
    "critic": {"kind": "patch-critic", "width": 4},
    "fakes": "reconstructions",
    "weight": 0.5,
}


def test_a_vae_with_a_critic_is_the_sum_by_hand() -> None:
    """The gradients of the whole model are those of the bound plus those of the game, with the same noise."""
    model, both = made({"kind": "summed", "first": "elbo", "second": GAME})
    model.eval(), both.eval()
    batch = Batch(torch.rand(6, 1, 8, 8) * 2 - 1)
    bound, *_, critic = both.turns(model)
    assert (bound.name, critic.name) == ("bound", "critic")
    assert {id(p) for p in critic.moves} == {id(p) for p in both.parameters()}
    chance.reseed(2)
    losses, _ = bound.loss(batch, 0)
    chance.reseed(2)
    parts = [next(t for t in part.turns(model) if t.name in ("bound", "generator")).loss for part in both.children()]
    by_hand = [loss(batch, 0)[0] for loss in parts]
    torch.testing.assert_close(losses, by_hand[0] + by_hand[1], rtol=0, atol=0)
    moves = list(bound.moves)
    found = torch.autograd.grad(losses.mean(), moves)
    one, two = (torch.autograd.grad(part.mean(), moves, allow_unused=True) for part in by_hand)
    for g, a, b in zip(found, one, two, strict=True):
        torch.testing.assert_close(g, sum(part for part in (a, b) if part is not None), rtol=1e-4, atol=1e-5)
    assert any(b is not None and b.any() for b in two)
