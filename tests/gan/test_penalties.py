"""Penalties against values by hand: most on a linear critic, whose slope is its weights everywhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from triptych.core import Batch
from triptych.errors import UsageError
from triptych.gan.model import Generator
from triptych.gan.penalties import (
    PathLength,
    Weighed,
    consistency,
    dragan,
    gradient,
    lipschitz,
    r1,
    r1_r2,
    r2,
    steepness,
)
from triptych.ramps import warm_up

SHAPE = (2, 3, 4)
MAKERS = (r1, r2, r1_r2, gradient, lipschitz, dragan, consistency)
OF_SLOPE = (r1, r2, r1_r2, gradient, lipschitz, dragan)


def pair(count: int = 5) -> tuple[Tensor, Tensor]:
    """Real and generated images."""
    draws = torch.Generator().manual_seed(1)
    real, fake = torch.randn(2, count, *SHAPE, generator=draws, dtype=torch.float64)
    return real, fake


def linear(norm: float) -> Callable[[Tensor], Tensor]:
    """D(x) = w . x with |w| = norm."""
    w = torch.randn(*SHAPE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    w *= norm / w.norm()
    return lambda x: (x * w).sum((1, 2, 3))


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (r1(0.4), lambda n: 0.2 * n**2),
        (r2(0.4), lambda n: 0.2 * n**2),
        (r1_r2(0.4), lambda n: 0.4 * n**2),
        (gradient(7.0), lambda n: 7 * (n - 1) ** 2),
        (lipschitz(7.0), lambda n: 7 * max(0, n - 1) ** 2),
        (dragan(7.0), lambda n: 7 * (n - 1) ** 2),
    ],
    ids=["r1", "r2", "r1-r2", "gradient", "lipschitz", "dragan"],
)
def test_values_on_a_linear_critic(penalty: Weighed, expected: Callable[[float], float], norm: float) -> None:
    values = penalty(linear(norm), *pair(), 0)
    assert values.tolist() == pytest.approx([expected(norm)] * 5, abs=1e-12)


def test_which_images_the_slope_is_taken_at() -> None:
    """D(x) = |x|^2 / 2 has the slope x."""

    def bowl(x: Tensor) -> Tensor:
        return x.square().sum((1, 2, 3)) / 2

    real, fake = pair()
    at_real, at_fake = (x.square().sum((1, 2, 3)) for x in (real, fake))
    torch.testing.assert_close(steepness(bowl, real), at_real)
    torch.testing.assert_close(r1(2.0)(bowl, real, fake, 0), at_real)
    torch.testing.assert_close(r2(2.0)(bowl, real, fake, 0), at_fake)
    torch.testing.assert_close(r1_r2(2.0)(bowl, real, fake, 0), at_real + at_fake)


def shown(penalty: Weighed, real: Tensor, fake: Tensor) -> Tensor:
    """The images that a penalty shows the critic."""
    seen: list[Tensor] = []
    judge = linear(1.0)
    torch.manual_seed(0)
    penalty(lambda x: (seen.append(x.detach()), judge(x))[1], real, fake, 0)
    return torch.cat(seen)


def test_gradient_penalties_look_anywhere_between_pairs() -> None:
    real, fake = torch.zeros(2000, *SHAPE, dtype=torch.float64), torch.ones(2000, *SHAPE, dtype=torch.float64)
    places = shown(gradient(), real, fake).flatten(1)
    assert torch.equal(places, places[:, :1].expand_as(places))  # one place on the line for all values of an image
    assert 0 <= places.min() < 0.01 < 0.99 < places.max() <= 1
    assert places[:, 0].mean().item() == pytest.approx(0.5, abs=5 / (12 * 2000) ** 0.5)


def test_dragan_looks_around_real_images() -> None:
    real, fake = pair(300)
    noise = shown(dragan(spread=0.5), real, fake) - real
    most = 0.5 * real.std().item()
    assert 0 <= noise.min().item() < 0.01 * most < 0.99 * most < noise.max().item() <= most
    assert noise.mean().item() == pytest.approx(most / 2, rel=0.05)


def rows(count: int) -> Tensor:
    """Images (count, 1, 9, 9) whose every pixel is the number of its row."""
    return torch.arange(9.0, dtype=torch.float64)[:, None].expand(count, 1, 9, 9)


def test_consistency_of_an_invariant_critic_costs_nothing() -> None:
    level = torch.arange(6.0, dtype=torch.float64)[:, None, None, None].expand(6, 1, 9, 9)
    assert consistency()(lambda x: x.mean((1, 2, 3)), level, level, 0).tolist() == pytest.approx([0.0] * 6, abs=1e-20)
    torch.manual_seed(0)
    assert consistency(shift=0.0)(lambda x: x[:, 0, 4, 2] + x[:, 0, 4, 6], rows(6), rows(6), 0).abs().max() == 0


def test_consistency_of_a_shifted_linear_critic() -> None:
    """A critic that reads one pixel of `rows` moves by the rows of the shift: 0 or 1, on either kind of image."""
    torch.manual_seed(0)
    values = consistency(3.0, shift=0.125)(lambda x: x[:, 0, 4, 4], rows(400), rows(400), 0)
    steps = values / 3
    torch.testing.assert_close(steps, steps.round(), atol=1e-12, rtol=0)
    assert {round(step) for step in steps.tolist()} == {0, 1, 2}
    assert steps.mean().item() == pytest.approx(4 / 3, abs=5 * (4 / 9 / 400) ** 0.5)  # two of three shifts count


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_a_lazy_penalty_has_the_same_mean(maker: Callable[..., Weighed]) -> None:
    real, fake = pair()

    def value(penalty: Weighed, step: int) -> Tensor:
        torch.manual_seed(3)
        return penalty(linear(3.0), real, fake, step * len(real))

    lazy = [value(maker(every=4), step) for step in range(8)]
    always = [value(maker(), step) for step in range(8)]
    assert [bool(v.any()) for v in lazy] == [bool(v.any()) and step % 4 == 0 for step, v in enumerate(always)]
    torch.testing.assert_close(torch.stack(lazy).mean(0), torch.stack(always).mean(0), atol=1e-12, rtol=0)


def test_a_ramp_weighs_by_the_images_seen() -> None:
    penalty = r1(2.0, ramp=warm_up(100))
    values = [penalty(linear(1.0), *pair(), seen)[0].item() for seen in (0, 25, 50, 100, 900)]
    assert values == pytest.approx([0, 0.25, 0.5, 1, 1], abs=1e-12)


@pytest.mark.parametrize("maker", OF_SLOPE, ids=lambda maker: maker.__name__)
def test_second_derivatives_agree_with_differences(maker: Callable[..., Weighed]) -> None:
    """The critic goes down the penalty's slope by its weights, a derivative of a derivative."""
    real, fake = pair(3)
    draws = torch.Generator().manual_seed(4)
    first = torch.randn(24, 4, generator=draws, dtype=torch.float64).mul(0.4).requires_grad_()
    second = torch.randn(4, generator=draws, dtype=torch.float64).mul(2.0).requires_grad_()

    def value(v: Tensor, w: Tensor) -> Tensor:
        torch.manual_seed(5)
        return maker()(lambda x: torch.tanh(x.flatten(1) @ v) @ w, real, fake, 0)

    assert value(first, second).min() > 0
    assert torch.autograd.gradcheck(value, (first, second), atol=1e-7, rtol=1e-7)


def test_r1_can_be_differentiated_twice_more() -> None:
    real, fake = pair(2)
    weights = torch.randn(24, generator=torch.Generator().manual_seed(6), dtype=torch.float64).mul(0.3).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda w: r1()(lambda x: torch.tanh(x.flatten(1) @ w), real, fake, 0), weights)


@pytest.mark.parametrize("maker", OF_SLOPE, ids=lambda maker: maker.__name__)
def test_a_flat_critic_has_finite_slopes(maker: Callable[..., Weighed]) -> None:
    weights = torch.zeros(24, dtype=torch.float64, requires_grad=True)
    losses = maker()(lambda x: x.flatten(1) @ weights, *pair(), 0)
    (slope,) = torch.autograd.grad(losses.mean(), weights)
    assert slope.isfinite().all()


@pytest.mark.parametrize("maker", OF_SLOPE, ids=lambda maker: maker.__name__)
def test_autocast_around_changes_nothing(maker: Callable[..., Weighed]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(96, 1))
    real, fake = (x.float() for x in pair())

    def value() -> tuple[Tensor, Tensor]:
        torch.manual_seed(7)
        net.zero_grad()
        losses = maker()(lambda x: net(x)[:, 0], real, fake, 0)
        losses.mean().backward()
        return losses.detach(), net[0].weight.grad.clone()

    plain = value()
    with torch.autocast("cpu", torch.bfloat16):
        assert net(real).dtype == torch.bfloat16  # the autocast is real, and has cast the weights
        cast = value()
    assert cast[0].dtype == torch.float32
    assert all(torch.equal(one, two) for one, two in zip(plain, cast, strict=True))


@pytest.mark.parametrize(
    "wrong", [lambda: r1(-1.0), lambda: gradient(every=0), lambda: PathLength(0.0), lambda: PathLength(forget=2.0)]
)
def test_values_that_are_no_penalty(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match="penalty"):
        wrong()


LATENT = 6


def painter() -> Generator:
    """A linear one: x = W z."""
    torch.manual_seed(8)
    return Generator(nn.Sequential(nn.Linear(LATENT, 24, bias=False), nn.Unflatten(1, SHAPE)), SHAPE, LATENT)


def test_the_path_length_of_a_linear_painter() -> None:
    """E |W^T y|^2 = |W|_F^2 / (H W) for noise y of variance 1 / (H W); the term is the lengths' variance."""
    model, path = painter(), PathLength(2.0, every=4, shrink=1, forget=1.0)
    batch = Batch(torch.zeros(20_000, *SHAPE))
    variance = path(model, batch, 0).item() / (2.0 * 4)
    found = variance + path.mean.item() ** 2
    assert found == pytest.approx(model.net[0].weight.square().sum().item() / (3 * 4), rel=0.03)


def test_the_running_mean_of_the_path_length() -> None:
    model, batch = painter(), Batch(torch.zeros(10, *SHAPE))
    slow, fresh = PathLength(every=1, forget=0.3), PathLength(every=1, forget=1.0)
    expected = 0.0
    for step in range(5):
        for path in (slow, fresh):
            torch.manual_seed(step)
            path(model, batch, step)
        expected += 0.3 * (fresh.mean.item() - expected)
        assert slow.mean.item() == pytest.approx(expected, abs=1e-12)
    slow.eval()(model, batch, 0)
    assert slow.mean.item() == pytest.approx(expected, abs=1e-12)


def test_the_path_length_waits_its_turn_and_reaches_the_weights() -> None:
    model, path, batch = painter(), PathLength(every=3), Batch(torch.zeros(10, *SHAPE))
    values = [path(model, batch, step) for step in range(6)]
    assert [bool(value > 0) for value in values] == [True, False, False, True, False, False]
    values[3].backward()
    assert model.net[0].weight.grad.abs().sum() > 0
