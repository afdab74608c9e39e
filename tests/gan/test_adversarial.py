"""The two turns: who moves, what the critic is shown, and that both players can win."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from triptych import chance
from triptych.chance import Draw
from triptych.core import NOTHING, Batch, Given, Model, Turn
from triptych.errors import UsageError
from triptych.gan.dcgan import dcgan, dcgan_critic
from triptych.gan.mlp import mlp_critic, mlp_gan
from triptych.gan.model import Generator
from triptych.gan.objective import Adversarial, reconstructions, standing
from triptych.gan.penalties import r1
from triptych.gan.r3gan import r3gan
from triptych.ramps import delayed

SHAPE = (1, 8, 8)
MAKE: dict[str, Callable[[], tuple[Generator, nn.Module]]] = {
    "mlp-gan": lambda: (mlp_gan(SHAPE, 8, (64, 64)), mlp_critic(SHAPE, (64, 64))),
    "dcgan": lambda: (dcgan(SHAPE, 8, 16), dcgan_critic(SHAPE, 16)),
}
EACH = pytest.mark.parametrize("name", MAKE)


def players(name: str) -> tuple[Generator, Adversarial]:
    chance.reseed(0, "model")
    generator, critic = MAKE[name]()
    return generator, Adversarial(critic)


def play(turns: Sequence[Turn], batch: Batch, steps: int, rate: float = 2e-3) -> dict[str, Tensor]:
    """Adam on each turn after the other; returns the last step's numbers."""
    optimisers = [torch.optim.Adam(turn.moves, rate, betas=(0.5, 0.999)) for turn in turns]
    logged: dict[str, Tensor] = {}
    for step in range(steps):
        for turn, optimiser in zip(turns, optimisers, strict=True):
            chance.reseed(0, step, turn.name)
            losses, stats = turn.loss(batch, step)
            optimiser.zero_grad()
            losses.mean().backward(inputs=list(turn.moves))
            optimiser.step()
            logged |= stats
    return logged


@EACH
def test_each_turn_moves_its_own_player(name: str) -> None:
    model, objective = players(name)
    critic, generator = objective.turns(model)
    assert (critic.name, generator.name) == ("critic", "generator")
    assert {id(p) for p in critic.moves} == {id(p) for p in objective.parameters()}
    assert {id(p) for p in generator.moves} == {id(p) for p in model.parameters()}
    batch = Batch(torch.rand(6, *SHAPE) * 2 - 1)
    losses, stats = critic.loss(batch, 0)
    losses.mean().backward()
    assert losses.shape == (6,)
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in objective.parameters())
    assert not any(value.requires_grad for value in stats.values())
    losses, stats = generator.loss(batch, 0)
    losses.mean().backward()
    assert losses.shape == (6,)
    assert all(p.grad is not None for p in model.parameters())
    assert not any(value.requires_grad for value in stats.values())


class Watcher(nn.Module):
    """A critic that remembers what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        self.shown.append(x.detach().clone())
        return self.scale * x.flatten(1).mean(1)


def test_real_and_generated_images_are_shown_apart() -> None:
    model, watcher = mlp_gan(SHAPE, 8, (16,)), Watcher()
    batch = Batch(torch.rand(6, *SHAPE))
    for turn in Adversarial(watcher).turns(model):
        watcher.shown.clear()
        turn.loss(batch, 0)
        real, fake = watcher.shown
        assert torch.equal(real, batch.images)
        assert fake.shape == batch.images.shape
        assert not torch.equal(fake, real)


def test_the_numbers_logged() -> None:
    model, objective = mlp_gan(SHAPE, 8, (16,)), Adversarial(Watcher())
    critic, generator = objective.turns(model)
    _, stats = critic.loss(Batch(torch.ones(6, *SHAPE)), 0)
    assert set(stats) == {"real_logit", "fake_logit", "accuracy_real", "accuracy_fake"}
    fakes = objective.critic.shown[1].flatten(1).mean(1)
    assert (stats["real_logit"].item(), stats["accuracy_real"].item()) == (1, 1)
    assert stats["fake_logit"].item() == pytest.approx(fakes.mean().item(), abs=1e-6)
    assert stats["accuracy_fake"].item() == pytest.approx((fakes < (1 + fakes.mean()) / 2).float().mean().item())
    _, stats = generator.loss(Batch(torch.zeros(6, *SHAPE)), 0)
    fakes = objective.critic.shown[3].flatten(1).mean(1)
    assert stats["fooled"].item() == pytest.approx((fakes > 0).float().mean().item())


def test_a_critic_is_right_on_its_side_of_the_middle() -> None:
    stats = standing(torch.tensor([3.0, 5.0, 0.0, 4.0]), torch.tensor([1.0, -1.0, -2.0, 4.0]))  # 3 and 0.5: 1.75
    values = {name: value.item() for name, value in stats.items()}
    assert values == {"real_logit": 3, "fake_logit": 0.5, "accuracy_real": 0.75, "accuracy_fake": 0.75}
    moved = standing(torch.tensor([13.0, 15.0, 10.0, 14.0]), torch.tensor([11.0, 9.0, 8.0, 14.0]))
    assert moved["accuracy_real"] == moved["accuracy_fake"] == 0.75


def test_the_penalty_is_added_to_the_critics_losses_alone() -> None:
    """The Watcher's slope is scale / N at each of N values, so R1 is gamma / 2 scale^2 / N."""
    model, batch = mlp_gan(SHAPE, 8, (16,)), Batch(torch.rand(6, *SHAPE))

    def losses(objective: Adversarial) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        torch.manual_seed(0)
        (critic, stats), (generator, _) = (turn.loss(batch, 0) for turn in objective.turns(model))
        return critic, generator, dict(stats)

    model.eval()  # the same fakes twice
    plain, penalised = losses(Adversarial(Watcher())), losses(Adversarial(Watcher(), penalty=r1(0.5)))
    torch.testing.assert_close(penalised[0] - plain[0], torch.full((6,), 0.25 / 64))
    torch.testing.assert_close(penalised[1], plain[1])
    assert penalised[2]["penalty"].item() == pytest.approx(0.25 / 64)
    assert "penalty" not in plain[2]


def test_the_generator_moves_at_every_critic_step_so_many() -> None:
    critic, generator = Adversarial(Watcher(), critic_steps=5).turns(mlp_gan(SHAPE, 8, (16,)))
    assert (critic.every, generator.every) == (1, 5)
    with pytest.raises(UsageError, match="critic_steps is 0"):
        Adversarial(Watcher(), critic_steps=0)


def test_the_path_length_is_the_generators() -> None:
    objective = Adversarial(Watcher(), path_length=2.0)
    critic, generator = objective.turns(mlp_gan(SHAPE, 8, (16,)))
    batch = Batch(torch.rand(6, *SHAPE))
    assert "path" not in critic.loss(batch, 0)[1]
    _, stats = generator.loss(batch, 0)
    assert stats["path"].item() > 0
    assert any("path" in name for name in objective.state_dict())  # its running mean is in a checkpoint


def test_the_generators_side_can_be_light_and_late() -> None:
    model, batch = mlp_gan(SHAPE, 8, (16,)).eval(), Batch(torch.rand(6, *SHAPE))

    def losses(seen: int, **how: Any) -> list[Tensor]:
        torch.manual_seed(0)
        return [turn.loss(batch, seen)[0] for turn in Adversarial(Watcher(), **how).turns(model)]

    for seen, share in ((0, 0.0), (100, 0.0), (150, 0.25), (200, 0.5)):
        plain, late = losses(seen), losses(seen, weight=0.5, ramp=delayed(100, over=100))
        assert torch.equal(late[0], plain[0])  # the critic learns from the start
        torch.testing.assert_close(late[1], share * plain[1])
    with pytest.raises(UsageError, match="weight -1"):
        Adversarial(Watcher(), weight=-1)


class Mirror(Model):
    """Encodes an image as itself, with the noise of a draw on top."""

    image_shape = latent_shape = SHAPE
    classes = 0

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        return -z

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        return self.decode(draw.normal(*SHAPE))

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        return x if draw is None else x + 0.01 * draw.normal(*SHAPE)


def test_fakes_can_be_reconstructions() -> None:
    watcher, batch = Watcher(), Batch(torch.rand(6, *SHAPE))
    chance.reseed(0)
    Adversarial(watcher, fakes=reconstructions).turns(Mirror())[0].loss(batch, 0)
    chance.reseed(0)
    assert torch.equal(watcher.shown[1], -(batch.images + 0.01 * torch.randn(6, *SHAPE)))
    with pytest.raises(UsageError, match="a model that encodes"):
        Adversarial(watcher, fakes=reconstructions).turns(mlp_gan(SHAPE, 8, (16,)))[0].loss(batch, 0)


class Told(Watcher):
    """A critic that remembers what it is told."""

    def forward(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        self.labels = given["labels"]
        return super().forward(x, given)


def test_both_players_are_told_the_labels() -> None:
    model, told = r3gan(SHAPE, 10, 8, 8, 1, conditional=True), Told()
    labels = torch.tensor([3, 1, 4, 1, 5, 9])
    for turn in Adversarial(told).turns(model):
        told.labels = torch.zeros(0)
        losses, _ = turn.loss(Batch(torch.rand(6, *SHAPE), {"labels": labels}), 0)
        assert torch.equal(told.labels, labels)
        assert losses.shape == (6,)


@EACH
def test_chance_is_the_only_difference_between_two_runs(name: str) -> None:
    batch = Batch(torch.rand(6, *SHAPE, generator=chance.generator("data")) * 2 - 1)

    def trained() -> list[Tensor]:
        model, objective = players(name)
        play(objective.turns(model), batch, 4)
        return [*model.state_dict().values(), *objective.state_dict().values()]

    assert all(torch.equal(one, two) for one, two in zip(trained(), trained(), strict=True))


@EACH
def test_a_critic_separates_one_batch_from_a_generator_that_stands_still(name: str) -> None:
    model, objective = players(name)
    batch = Batch(torch.rand(16, *SHAPE, generator=chance.generator("data")) * 2 - 1)
    critic, _ = objective.turns(model)
    stats = play([critic], batch, 150)
    assert min(stats["accuracy_real"].item(), stats["accuracy_fake"].item()) > 0.95
    assert stats["real_logit"].item() > 1 > -1 > stats["fake_logit"].item()


@EACH
def test_a_generator_learns_one_image_by_heart(name: str) -> None:
    model, objective = players(name)
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 8), indexing="ij")
    image = 0.8 * torch.sin(3 * rows) * torch.cos(2 * columns)
    batch = Batch(image.expand(16, *SHAPE))
    play(objective.turns(model), batch, 300)
    model.eval()
    with torch.no_grad():
        samples = model.sample(Draw(range(64)))
    assert (samples - image).abs().mean().item() < 0.15
    assert (samples.mean(0) - image).abs().mean().item() < 0.1
