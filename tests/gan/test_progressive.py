"""Growth is a function of the images seen, and neither player changes suddenly on the way."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from triptych import chance, recipe
from triptych.chance import Draw
from triptych.core import Batch, Shape
from triptych.errors import UsageError
from triptych.gan.critic import Critic
from triptych.gan.games import wasserstein
from triptych.gan.model import Generator
from triptych.gan.penalties import gradient, steepness
from triptych.gan.progressive import (
    UNIT,
    Growing,
    Grows,
    coarser,
    drifting,
    finer,
    level_after,
    progressive,
    progressive_critic,
)
from triptych.training.ema import Ema

SHAPES = pytest.mark.parametrize("shape", [(1, 8, 8), (2, 13, 37), (4, 24, 64), (3, 9, 8)], ids=str)


def players(shape: Shape, level: int | None = None) -> tuple[Generator, Critic]:
    chance.reseed(0, "model")
    model, critic = progressive(shape, 6, 5).double(), progressive_critic(shape, 5).double()
    if level is not None:
        grow(level, model, critic)
    return model, critic


def grow(level: int, *networks: nn.Module) -> None:
    for network in networks:
        for part in network.modules():
            if isinstance(part, Grows):
                part.level.fill_(level)


def latents(count: int = 4) -> Tensor:
    return torch.randn(count, 6, dtype=torch.float64, generator=chance.generator("latents"))


def images(shape: Shape, count: int = 4) -> Tensor:
    return torch.rand(count, *shape, dtype=torch.float64, generator=chance.generator("images")) * 2 - 1


def test_the_schedule_by_hand() -> None:
    """Held for 600 images, faded over 1,000: stage 1 is whole at 1,600 and stage 2 at 3,200."""
    places = {0: 0, 600: 0, 601: 1, 1100: 512, 1599: 1022, 1600: 1024, 2200: 1024, 2450: 1280, 3200: 2048, 10**9: 2048}
    assert {seen: level_after(seen, 600, 1000, 3) for seen in places} == places
    levels = [level_after(seen, 600, 1000, 3) for seen in range(4000)]
    assert levels == sorted(levels)
    assert max(b - a for a, b in itertools.pairwise(levels)) <= 2


def test_levels_reach_both_networks_and_their_average() -> None:
    model, critic = players((3, 32, 32))
    objective, ema = Growing(critic, hold=100, fade=100), Ema(model, 1000, 0.05)
    for seen, place in ((0, (0, 1.0)), (150, (1, 0.5)), (200, (1, 1.0)), (375, (2, 0.75)), (1000, (3, 1.0))):
        objective.begin(model, seen)
        ema.follow(4, seen + 10_000)
        assert model.net.place() == critic.trunk.place() == ema.model.net.place() == place
    assert model.net.level.dtype == torch.int64
    assert "net.level" in model.state_dict()


@pytest.mark.parametrize("sides", [(8, 8), (13, 37), (9, 8), (64, 24)], ids=str)
def test_coarser_undoes_finer(sides: tuple[int, int]) -> None:
    small = images((2, sides[0] // 2, sides[1] // 2))
    large = finer(small, sides)
    assert large.shape[2:] == sides
    assert set(large.unique().tolist()) == set(small.unique().tolist())
    torch.testing.assert_close(coarser(large, (sides[0] // 2, sides[1] // 2)), small, rtol=0, atol=1e-15)


def test_coarser_by_hand() -> None:
    x = torch.arange(10.0).view(1, 1, 2, 5)
    torch.testing.assert_close(coarser(x, (1, 2)), torch.tensor([[[[3.5, 6.0]]]]))  # columns 0 1 2 and 3 4
    assert finer(torch.tensor([[[[1.0, 2.0]]]]), (1, 5)).tolist() == [[[[1, 1, 1, 2, 2]]]]


def test_real_images_at_the_level_are_area_means() -> None:
    x = images((3, 32, 32))
    _, critic = players((3, 32, 32), 0)
    objective = Growing(critic)

    def shown() -> Tensor:
        """At the sides of the present stage; what is seen has them repeated."""
        seen = objective.seen_as(x)
        assert seen.shape == x.shape
        small: Tensor = critic.trunk.reduced(seen)
        torch.testing.assert_close(critic.trunk.enlarged(small), seen)
        return small

    torch.testing.assert_close(shown(), x.unflatten(3, (4, 8)).unflatten(2, (4, 8)).mean((3, 5)))
    grow(UNIT + UNIT // 4, critic)  # a quarter of the way from 8 to 16 px
    means = [x.unflatten(3, (n, 32 // n)).unflatten(2, (n, 32 // n)).mean((3, 5)) for n in (8, 16)]
    doubled = means[0].repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(shown(), 0.75 * doubled + 0.25 * means[1])
    grow(3 * UNIT, critic)
    assert torch.equal(objective.seen_as(x), x)


@SHAPES
def test_generated_images_are_blended_as_in_the_paper(shape: Shape) -> None:
    """What the critic is shown is (1 - a) up(c) + a f, f and c made by the last two stages."""
    model, critic = players(shape, 256)
    net, z = model.net, latents()
    h = net.stages[0](net.enter(model.style(z)))
    c = net.leave[0](h)
    sides = net.sides[1]
    f = net.leave[1](net.stages[1](nn.functional.interpolate(h, size=sides, mode="nearest-exact")))
    expected = 0.75 * finer(c, sides) + 0.25 * f
    seen = critic.trunk.reduced(Growing(critic).seen_as(model.decode(z)))
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-12)


@SHAPES
def test_images_have_the_present_sides_in_training_and_their_own_after(shape: Shape) -> None:
    model, critic = players(shape)
    objective, stages = Growing(critic), len(model.net.sides)
    for level in range(0, UNIT * (stages - 1) + 1, UNIT // 2):
        grow(level, model, critic)
        sides = model.net.sides[-(-level // UNIT)]
        made = model.train().decode(latents())
        assert made.shape[2:] == sides
        whole = model.eval().decode(latents())
        assert whole.shape[1:] == shape
        assert critic(whole).shape == (4,)
        assert objective.seen_as(whole).shape == objective.seen_as(images(shape)).shape == whole.shape
        if level % UNIT == 0:
            torch.testing.assert_close(critic.trunk.reduced(objective.seen_as(whole)), made, rtol=0, atol=1e-12)


@SHAPES
def test_nothing_jumps_at_a_fade(shape: Shape) -> None:
    """What is made is linear in the share: its limit at a fade's start is the held stage, at its end the next."""
    model, critic = players(shape)
    objective, z, x = Growing(critic), latents(), images(shape)
    top = UNIT * (len(model.net.sides) - 1)

    def at(level: int) -> tuple[Tensor, Tensor]:
        grow(level, model, critic)
        return model.eval().decode(z), critic(objective.seen_as(x))

    for start in range(0, top, UNIT):
        held, first, second = (at(start + step) for step in range(3))
        torch.testing.assert_close(2 * first[0] - second[0], held[0], rtol=0, atol=1e-12)
        before, last, whole = (at(start + UNIT - step) for step in (2, 1, 0))
        torch.testing.assert_close(2 * last[0] - before[0], whole[0], rtol=0, atol=1e-12)
        for one, two in ((held, first), (first, second), (before, last), (last, whole)):
            assert (one[0] - two[0]).abs().max() < 0.02
            assert (one[1] - two[1]).abs().max() < 0.02


@SHAPES
def test_a_critic_at_the_start_of_a_fade_is_that_of_the_held_stage(shape: Shape) -> None:
    """With a share of zero, exactly: the new stage is there and unheard."""
    _, critic = players(shape)
    trunk, objective, x = critic.trunk, Growing(critic), images(shape)
    for stage in range(len(trunk.sides) - 1):
        grow(UNIT * stage, critic)
        seen = objective.seen_as(x)
        held, slope = critic(seen), steepness(critic, seen)
        trunk.place = lambda stage=stage: (stage + 1, 0.0)
        seen = objective.seen_as(x)
        torch.testing.assert_close(critic(seen), held, rtol=0, atol=1e-12)
        torch.testing.assert_close(steepness(critic, seen), slope, rtol=1e-9, atol=1e-12)  # what the penalty holds
        del trunk.place


@SHAPES
def test_both_turns_train_the_present_stages(shape: Shape) -> None:
    model, critic = (player.float() for player in players(shape))
    turns = Growing(critic, penalty=gradient(10.0), hold=100, fade=100).turns(model)
    batch = Batch(images(shape).float())
    for seen in (0, 150, 10_000):
        for turn in turns:
            losses, _ = turn.loss(batch, seen)
            for parameter in turn.moves:
                parameter.grad = None
            losses.mean().backward(inputs=list(turn.moves))
            moved = [p.grad for p in turn.moves if p.grad is not None]
            assert losses.shape == (4,)
            assert moved
            assert all(slope.isfinite().all() for slope in moved)
    grow(UNIT, model)
    assert all(p.grad is not None for p in model.net.stages.parameters())


def test_the_drift_by_hand() -> None:
    real, fake = torch.tensor([2.0, -3.0]), torch.tensor([0.5, 1.0])
    critic, generator = drifting(wasserstein, 0.1)(real, fake)
    torch.testing.assert_close(critic, torch.tensor([0.5 - 2 + 0.4, 1 + 3 + 0.9]))
    torch.testing.assert_close(generator, -fake)


def test_a_saved_state_in_the_middle_of_a_fade_gives_the_same_images() -> None:
    model, critic = players((3, 13, 37))
    Growing(critic, hold=100, fade=100).begin(model, 333)
    held = [load(save(dict(part.state_dict()))) for part in (model, critic)]  # as bytes, and back
    again, judge = progressive((3, 13, 37), 6, 5).double(), progressive_critic((3, 13, 37), 5).double()
    again.load_state_dict(held[0])
    judge.load_state_dict(held[1])
    assert again.net.place() == (2, 337 / UNIT) == model.net.place()
    for mode in (True, False):
        made = model.train(mode).decode(latents())
        assert torch.equal(again.train(mode).decode(latents()), made)
        assert torch.equal(judge(made), critic(made))


def test_a_run_stopped_in_a_fade_goes_on_as_if_it_had_not_been() -> None:
    model, critic = (player.float() for player in players((1, 8, 8)))
    batch = Batch(images((1, 8, 8)).float())

    def step(objective: Growing, net: Generator, seen: int) -> None:
        for turn in objective.turns(net):
            chance.reseed(seen, turn.name)
            losses, _ = turn.loss(batch, seen)
            slopes = torch.autograd.grad(losses.mean(), list(turn.moves), allow_unused=True)
            with torch.no_grad():
                for parameter, slope in zip(turn.moves, slopes, strict=True):
                    if slope is not None:
                        parameter.sub_(0.01 * slope)

    objective = Growing(critic, hold=4, fade=40)
    for seen in (0, 4, 8, 12):
        step(objective, model, seen)
    again, resumed = copy.deepcopy(model), copy.deepcopy(objective)
    grow(0, again, resumed)  # the level follows from the images seen, whatever it was
    for seen in (16, 20, 24):
        step(objective, model, seen)
        step(resumed, again, seen)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


def test_styles_lie_on_a_sphere_and_enter_by_the_first_weights() -> None:
    model = progressive((3, 16, 16), 6, 5).eval()
    z = torch.randn(4, 6)
    torch.testing.assert_close(model.style(z).square().mean(1), torch.ones(4))
    torch.testing.assert_close(model.decode(2 * z), model.decode(z))
    assert model.net.first().shape == (5 * 4 * 4, 6)
    entered = model.net.enter(z) - model.net.enter(torch.zeros(4, 6))
    torch.testing.assert_close(entered, z @ model.net.first().T / 6**0.5)
    assert not torch.equal(model.sample(Draw([1]), truncation=0.5), model.sample(Draw([1])))


def test_parameters_as_the_catalogue_says() -> None:
    n = 128
    count = sum(parameter.numel() for parameter in progressive((3, 32, 32), n, n).parameters())
    enter, convolutions, leave = (n + 1) * n * 16, 7 * (n * n * 9 + n), 4 * (3 * n + 3)
    assert count == recipe.about("progressive").parameters == enter + convolutions + leave


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: progressive((1, 7, 8)), "Images of 7x8 px"),
        (lambda: progressive((1, 8, 8), latent=0), "latent size is 0"),
        (lambda: progressive_critic((1, 8, 8), width=0), "width of a convolutional network is 0"),
        (lambda: Growing(progressive_critic((1, 8, 8), 4), hold=-1), "hold is -1"),
        (lambda: Growing(progressive_critic((1, 8, 8), 4), fade=0), "fade 0"),
        (lambda: Growing(progressive_critic((1, 8, 8), 4)).turns(progressive((1, 16, 16), 4, 4)), "grow together"),
    ],
)
def test_values_that_make_no_game_are_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()
