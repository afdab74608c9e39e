"""What the critic is shown: what is drawn, how often, and how p follows the critic."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from triptych import chance
from triptych.errors import UsageError
from triptych.gan.augment import GROUPS, POLICY, Augmentation, ada, diffaugment, shifted, steady
from triptych.gan.changes import mean_colour
from triptych.ramps import warm_up

SHAPES = [(1, 8, 8), (2, 9, 13), (3, 16, 16), (4, 11, 8)]
EACH = pytest.mark.parametrize("shape", SHAPES, ids=str)
TABLE = {**{f"ada {name}": group for name, group in GROUPS.items()}, **POLICY}
EVERY = pytest.mark.parametrize("name", TABLE)
MAKE: dict[str, Callable[[], Augmentation]] = {
    "diffaugment": diffaugment,
    "ada": ada,
    "steady": lambda: steady(0.5, warm_up(1000)),
}


def images(shape: tuple[int, ...], count: int = 6) -> Tensor:
    unit = 0.2 + 0.6 * torch.rand(count, *shape, generator=chance.generator("images"))
    if shape[0] in (2, 4):
        unit[:, :-1] *= unit[:, -1:]
    return 2 * unit - 1


def always(p: float) -> Tensor:
    return torch.tensor(p, dtype=torch.float64)


def drawn(change: Callable[[Tensor], Tensor], x: Tensor, *key: int) -> Tensor:
    """The change with the same draws each time."""
    chance.reseed("augment", *key)
    return change(x)


@EVERY
@EACH
def test_no_chance_is_no_change_to_the_bit(name: str, shape: tuple[int, int, int]) -> None:
    x = images(shape)
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(TABLE[name](x.to(dtype), always(0)), x.to(dtype))


@EVERY
@EACH
def test_each_image_is_changed_by_draws_of_its_own(name: str, shape: tuple[int, int, int]) -> None:
    x = images(shape, 64)
    new = drawn(lambda x: TABLE[name](x, always(1)), x)
    assert new.shape == x.shape
    assert new.isfinite().all()
    same = images(shape, 1).expand(64, *shape)
    assert len(drawn(lambda x: TABLE[name](x, always(1)), same).flatten(1).unique(dim=0)) > 3
    others = x.flip(0).clone()
    others[7] = x[7]
    assert torch.equal(drawn(lambda x: TABLE[name](x, always(1)), others)[7], new[7])


@EVERY
def test_slopes_reach_the_generator(name: str) -> None:
    for shape in ((3, 5, 5), (4, 9, 4)):
        x = images(shape, 3).double().requires_grad_(True)
        assert torch.autograd.gradcheck(lambda x: drawn(lambda x: TABLE[name](x, always(1)), x), (x,))


@EVERY
@EACH
def test_every_change_happens_as_often_as_p_says_at_most(name: str, shape: tuple[int, int, int]) -> None:
    """An image is left alone at least with chance (1 - p)^k for the k draws of a group."""
    x, p, count = images(shape, 1).expand(2000, *shape), 0.1, {"ada blits": 3, "ada geometry": 5, "ada colour": 5}
    new = drawn(lambda x: TABLE[name](x, always(p)), x)
    alone = (new == x).flatten(1).all(1).double().mean().item()
    least = (1 - p) ** {**count, "colour": 3}.get(name, 1)
    assert alone > least - 5 * (least * (1 - least) / 2000) ** 0.5
    assert alone < 1


def test_quarter_turns_are_an_invertible_mixture() -> None:
    """Their circulant matrix has first row (1 - 3p/4, p/4, p/4, p/4): eigenvalues 1 and three times 1 - p."""
    count, p = 40_000, 0.6
    x = torch.tensor([[0.0, 1.0], [0.2, -1.0]]).expand(count, 1, 2, 2)  # no shift at 2 px: mirrored and turned alone
    new = drawn(lambda x: GROUPS["blits"](x, always(p)), x)
    turns = torch.stack([torch.rot90(flipped, k, (1, 2)) for flipped in (x[0], x[0].flip(2)) for k in range(4)])
    hits = (new[:, None] == turns).flatten(2).all(2).double()
    assert (hits.sum(1) == 1).all()
    row = torch.tensor([1 - 3 * p / 4, p / 4, p / 4, p / 4], dtype=torch.float64)
    circulant = torch.stack([row.roll(k) for k in range(4)])
    assert torch.allclose(torch.linalg.eigvalsh(circulant).min(), always(1 - p))
    expected = torch.cat([row * (1 - p / 2), row * (p / 2)])
    assert ((hits.mean(0) - expected).abs() < 5 * (expected * (1 - expected) / count).sqrt()).all()


def test_shifts_reach_an_eighth_and_are_even() -> None:
    count, side = 9000, 8
    x = torch.arange(side * side).float().view(1, 1, side, side).expand(count, 1, side, side)
    new = drawn(lambda x: POLICY["shift"](x, always(1)), x)
    down = ((new[:, 0, 4, 4] - x[:, 0, 4, 4]) / side).round()
    right = -(new[:, 0, 4, 4] - x[:, 0, 4, 4] - down * side)
    for steps in (-down, right):
        shares = torch.stack([(steps == k).double().mean() for k in (-1, 0, 1)])
        assert ((shares - 1 / 3).abs() < 5 * (2 / 9 / count) ** 0.5).all()
    corner = new[(down == 0) & (right == 1)]
    assert (corner[:, 0, :, 0] == 0).all()


@EACH
def test_a_box_of_half_the_sides_is_cut(shape: tuple[int, int, int]) -> None:
    x, (channels, height, width) = images(shape, 500), shape
    new = drawn(lambda x: POLICY["cutout"](x, always(1)), x)
    gone = (new != x).all(1)
    nothing = -1.0 if channels in (2, 4) else 0.0
    assert (new[gone[:, None].expand_as(new)] == nothing).all()
    assert gone.any(2).sum(1).max().item() == height // 2
    assert gone.any(1).sum(1).max().item() == width // 2
    assert torch.equal(gone.sum((1, 2)), gone.any(2).sum(1) * gone.any(1).sum(1))
    assert gone.any(0).all()


def test_tones_lie_where_the_paper_has_them() -> None:
    x = images((3, 6, 6), 1).expand(4000, 3, 6, 6)
    new = drawn(lambda x: POLICY["colour"](x, always(1)), x)
    added = mean_colour(new) - mean_colour(x)  # neither saturation nor contrast about the mean moves it
    assert added.min().item() == pytest.approx(-0.5, abs=0.01)
    assert added.max().item() == pytest.approx(0.5, abs=0.01)
    greys = (new.mean(1) - mean_colour(new)[:, None, None]).flatten(1).norm(dim=1)
    factor = greys / (x.mean(1) - mean_colour(x)[:, None, None]).flatten(1).norm(dim=1)
    assert factor.min().item() == pytest.approx(0.5, abs=0.01)
    assert factor.max().item() == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_transparent_stays_so(channels: int) -> None:
    nothing = torch.full((32, channels, 9, 9), -1.0)
    for change in TABLE.values():
        assert torch.allclose(drawn(lambda x, change=change: change(x, always(1)), nothing), nothing, atol=1e-6)
    x = images((channels, 9, 9), 64)
    for change in TABLE.values():
        new = drawn(lambda x, change=change: change(x, always(1)), x)
        assert (new[:, :-1] <= new[:, -1:] + 1e-6).all()


def test_the_shift_of_the_consistency_penalty() -> None:
    x = images((3, 8, 10), 400)
    assert torch.equal(drawn(lambda x: shifted(x, 0), x).sort(3).values, x.sort(3).values)  # mirrored or not
    mirrored = (drawn(lambda x: shifted(x, 0), x) != x).flatten(1).any(1).double().mean().item()
    assert abs(mirrored - 0.5) < 5 * 0.5 / 400**0.5
    new = drawn(lambda x: shifted(x, 0.25), x)
    assert new.shape == x.shape
    assert all(set(image.flatten().tolist()) <= set(old.flatten().tolist()) for image, old in zip(new, x, strict=True))
    small = images((1, 4, 5), 3).double().requires_grad_(True)
    assert torch.autograd.gradgradcheck(lambda x: drawn(lambda x: shifted(x, 0.5).square(), x), (small,))


@pytest.mark.parametrize("name", MAKE)
@EACH
def test_pipelines_change_images_of_any_shape(name: str, shape: tuple[int, int, int]) -> None:
    augment, x = MAKE[name](), images(shape)
    augment.p.fill_(1)
    new = drawn(augment, x)
    assert new.shape == x.shape
    assert not torch.equal(new, x)
    assert torch.equal(new, drawn(augment, x))


@pytest.mark.parametrize("name", MAKE)
def test_half_precision_around_a_pipeline_changes_nothing(name: str) -> None:
    augment, x = MAKE[name](), images((4, 11, 8))
    augment.p.fill_(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        new = drawn(augment, x)
    assert torch.equal(new, drawn(augment, x))


def test_ada_replayed_on_a_fixed_sequence() -> None:
    """r is the mean of 2 a - 1 over two batches; p moves by 2 * 16 / 128 = 1/4 up, down, or rests on the target."""
    augment = ada(target=0.5, images=128, every=2, most=0.6)
    shares = [1, 1, 0.75, 0.75, 1, 0.5, 0.5, 0.5, 1, 0.875, 1, 1, 1, 1, 0, 0]
    r = [1, 1, 0.5, 0.5, 1, 0.5, 0, 0, 1, 0.875, 1, 1, 1, 1, -1, -1]
    p = [0, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0, 0, 0.25, 0.25, 0.5, 0.5, 0.6, 0.6, 0.35]
    heard = [augment.follow(torch.tensor(share), 16, 16 * step) for step, share in enumerate(shares)]
    assert [stats["overfitting"].item() for stats in heard] == r
    assert [stats["p"].item() for stats in heard] == pytest.approx(p, abs=1e-15)
    for _ in range(8):
        stats = augment.follow(torch.tensor(0.0), 16, 0)
    assert augment.p.item() == stats["p"].item() == 0
    assert not any(value.requires_grad for value in stats.values())


def test_a_steady_chance_follows_its_ramp() -> None:
    augment = steady(0.3, warm_up(1000, start=0.5))
    assert augment.p.item() == 0.15
    for seen, p in ((0, 0.15), (500, 0.225), (1000, 0.3), (9000, 0.3)):
        assert augment.follow(torch.tensor(0.9), 16, seen)["p"].item() == pytest.approx(p, abs=1e-15)
        assert augment.p.item() == pytest.approx(p, abs=1e-15)


def test_diffaugment_changes_every_image_for_ever() -> None:
    augment = diffaugment(("shift", "colour"))
    assert augment.groups == [POLICY["shift"], POLICY["colour"]]
    stats = augment.follow(torch.tensor(0.75), 16, 0)
    assert (stats["p"].item(), stats["overfitting"].item(), augment.p.item()) == (1, 0.5, 1)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("stop", [1, 5, 6])
def test_a_run_resumed_within_a_ramp_is_equal_to_the_bit(name: str, stop: int) -> None:
    shares = 0.6 + 0.4 * torch.rand(40, generator=chance.generator("shares"))

    def followed(augment: Augmentation, steps: range) -> list[float]:
        return [augment.follow(shares[step], 12, 12 * step)["p"].item() for step in steps]

    whole, before, after = MAKE[name](), MAKE[name](), MAKE[name]()
    straight = followed(whole, range(40))
    first = followed(before, range(stop))
    after.load_state_dict({key: value.clone() for key, value in before.state_dict().items()})
    assert first + followed(after, range(stop, 40)) == straight
    assert all(torch.equal(one, other) for one, other in zip(whole.buffers(), after.buffers(), strict=True))
    assert len(set(straight)) > 1 or name == "diffaugment"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: diffaugment(("color",)), "did you mean 'colour'"),
        (lambda: diffaugment(()), "known: colour, cutout, shift"),
        (lambda: ada(groups=("blit",)), "did you mean 'blits'"),
        (lambda: ada(target=1.5), "a target from -1 to 1"),
        (lambda: ada(most=-0.1), "most from 0 to 1"),
        (lambda: ada(images=0), "1 or more"),
        (lambda: ada(every=0), "1 or more"),
        (lambda: steady(1.2), "a number from 0 to 1"),
        (lambda: shifted(images((1, 4, 4)), 1.0), "from 0 to below 1"),
        (lambda: shifted(images((1, 4, 4)), -0.1), "from 0 to below 1"),
    ],
)
def test_impossible_values_get_a_sentence(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()
