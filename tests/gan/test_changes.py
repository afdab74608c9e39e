"""Changes of images against closed forms: what comes back, what stays, what the slopes are."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from triptych import chance
from triptych.gan import changes
from triptych.gan.changes import Affine

SHAPES = [(1, 8, 8), (2, 9, 9), (3, 8, 12), (4, 11, 7)]
EACH = pytest.mark.parametrize("shape", SHAPES, ids=str)
COLOURS = pytest.mark.parametrize("n", [1, 3])
B = 6


def images(shape: tuple[int, ...], count: int = B) -> Tensor:
    """Float64 images well inside [-1, 1], premultiplied where there is alpha."""
    unit = 0.2 + 0.6 * torch.rand(count, *shape, generator=chance.generator("images"), dtype=torch.float64)
    if shape[0] in (2, 4):
        unit[:, :-1] *= unit[:, -1:]
    return 2 * unit - 1


def numbers(low: float, high: float, *shape: int) -> Tensor:
    drawn = torch.rand(B, *shape, generator=chance.generator("numbers", *shape), dtype=torch.float64)
    return low + (high - low) * drawn


COLOUR_CHANGES: dict[str, Callable[[int], Affine]] = {
    "brightness": lambda n: changes.brightness(n, numbers(-0.1, 0.1)),
    "contrast": lambda n: changes.contrast(n, numbers(0.5, 1.5)),
    "contrast about a middle": lambda n: changes.contrast(n, numbers(0.5, 1.5), numbers(-0.5, 0.5)),
    "luma": lambda n: changes.luma(n, torch.ones(B, dtype=torch.float64)),
    "hue": lambda n: changes.hue(n, numbers(-math.pi, math.pi)),
    "saturation": lambda n: changes.saturation(n, numbers(0.2, 1.8)),
}
PLACES: dict[str, Callable[[], Affine]] = {
    "scaling": lambda: changes.scaling(numbers(-0.5, 0.5), numbers(-0.3, 0.7)),
    "rotation": lambda: changes.rotation(numbers(-3, 3)),
    "translation": lambda: changes.translation(numbers(-2, 2, 2)),
}
CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "mirrored": lambda x: changes.mirrored(x, torch.arange(B) % 2 == 0),
    "turned": lambda x: changes.turned(x, torch.arange(B) % 4),
    "moved": lambda x: changes.moved(x, torch.tensor([[0, 1], [2, -3], [-1, 0], [3, 3], [0, 0], [-2, -2]])),
    "kept": lambda x: changes.kept(x, torch.rand(B, *x.shape[2:], generator=chance.generator("kept")) < 0.5),
    **{name: lambda x, make=make: changes.warped(x, make()) for name, make in PLACES.items()},
    **{
        name: lambda x, make=make: changes.coloured(x, make(changes.colours(x)))
        for name, make in COLOUR_CHANGES.items()
    },
}
EVERY = pytest.mark.parametrize("name", CHANGES)


@EVERY
@EACH
def test_shapes_stay(name: str, shape: tuple[int, int, int]) -> None:
    x = images(shape)
    assert CHANGES[name](x).shape == x.shape
    assert CHANGES[name](x).dtype == x.dtype


@EVERY
@pytest.mark.parametrize("shape", [(1, 5, 5), (4, 5, 4)], ids=str)
def test_slopes_are_those_of_finite_differences(name: str, shape: tuple[int, int, int]) -> None:
    x = images(shape).requires_grad_(True)
    assert torch.autograd.gradcheck(CHANGES[name], (x,))


@pytest.mark.parametrize("name", ["mirrored", "turned", "moved", "kept", "hue", "contrast"])
def test_second_slopes_pass_where_no_place_lies_between_pixels(name: str) -> None:
    x = images((2, 5, 4)).requires_grad_(True)
    assert torch.autograd.gradgradcheck(lambda x: CHANGES[name](x).square(), (x,))


@EVERY
@EACH
def test_an_image_follows_from_its_own_parameters_alone(name: str, shape: tuple[int, int, int]) -> None:
    x = images(shape)
    others = x.clone()
    others[[0, 1, 3, 4, 5]] = images(shape).flip(0)[[0, 1, 3, 4, 5]] * 0.5 - 0.1
    assert torch.equal(CHANGES[name](x)[2], CHANGES[name](others)[2])


@EACH
def test_two_mirrorings_and_a_full_turn_are_nothing(shape: tuple[int, int, int]) -> None:
    x, which = images(shape), torch.arange(B) % 2 == 0
    assert torch.equal(changes.mirrored(changes.mirrored(x, which), which), x)
    assert torch.equal(changes.mirrored(x, which)[0], x[0].flip(2))
    assert torch.equal(changes.mirrored(x, which)[1], x[1])
    quarters = torch.arange(B) % 4
    assert torch.equal(changes.turned(changes.turned(x, quarters), (4 - quarters) % 4)[0::2], x[0::2])
    assert torch.equal(changes.turned(x, quarters)[2], x[2].flip((1, 2)))


def test_only_square_images_take_a_quarter_turn() -> None:
    x, quarter = images((3, 6, 6)), torch.ones(B, dtype=torch.int64)
    assert torch.equal(changes.turned(x, quarter), torch.rot90(x, 1, (2, 3)))
    wide = images((3, 6, 8))
    assert torch.equal(changes.turned(wide, quarter), wide)


@EACH
def test_a_shift_is_a_cut_of_the_reflected_image(shape: tuple[int, int, int]) -> None:
    x, (_, height, width) = images(shape), shape
    steps = torch.tensor([[0, 0], [1, 2], [-3, 1], [3, -3], [-2, -1], [0, 3]])
    got, wide = changes.moved(x, steps), pad(x, (3, 3, 3, 3), mode="reflect")
    for image, framed, (down, right) in zip(got, wide, steps.tolist(), strict=True):
        assert torch.equal(image, framed[:, 3 - down : 3 - down + height, 3 - right : 3 - right + width])


@EACH
def test_mirroring_turns_a_shift_around(shape: tuple[int, int, int]) -> None:
    x, all_of_them = images(shape), torch.ones(B, dtype=torch.bool)
    steps = torch.tensor([[0, 0], [1, 2], [-3, 1], [3, -3], [-2, -1], [0, 3]])
    one = changes.mirrored(changes.moved(x, steps), all_of_them)
    other = changes.moved(changes.mirrored(x, all_of_them), steps * torch.tensor([1, -1]))
    assert torch.equal(one, other)


@EACH
def test_places_on_pixels_are_shifts_and_turns(shape: tuple[int, int, int]) -> None:
    x, steps = images(shape), torch.tensor([[1, 2]]).expand(B, 2)
    new = changes.warped(x, changes.translation(-steps.flip(1).double()))
    assert (new - changes.moved(x, steps))[:, :, 1:, 2:].abs().max().item() < 1e-12
    half = changes.warped(x, changes.rotation(torch.full((B,), math.pi, dtype=torch.float64)))
    assert (half - x.flip((2, 3))).abs().max().item() < 1e-12


def test_a_slope_is_scaled_turned_and_shifted_exactly() -> None:
    """Bilinear places are exact on a linear image, away from the border."""
    at = torch.arange(21, dtype=torch.float64) - 10
    x = (0.03 * at[:, None] - 0.02 * at).expand(B, 1, 21, 21)
    for make in PLACES.values():
        places = make()
        across = places.mix[:, 0, 0, None, None] * at + places.mix[:, 0, 1, None, None] * at[:, None]
        down = places.mix[:, 1, 0, None, None] * at + places.mix[:, 1, 1, None, None] * at[:, None]
        across, down = across + places.added[:, 0, None, None], down + places.added[:, 1, None, None]
        inside = (across.abs() <= 10) & (down.abs() <= 10)
        error = (changes.warped(x, places)[:, 0] - (0.03 * down - 0.02 * across)).abs()
        assert inside.double().mean().item() > 0.3
        assert error[inside].max().item() < 1e-12


def test_affine_maps_are_taken_from_the_right() -> None:
    one, other = PLACES["rotation"]() @ PLACES["translation"](), PLACES["scaling"]() @ PLACES["rotation"]()
    v = numbers(-1, 1, 2)

    def taken(change: Affine, v: Tensor) -> Tensor:
        return (change.mix @ v[:, :, None])[:, :, 0] + change.added

    assert torch.allclose(taken(one @ other, v), taken(one, taken(other, v)), atol=1e-14)
    turn, back = changes.rotation(numbers(-3, 3)), changes.rotation(-numbers(-3, 3))
    assert torch.allclose((turn @ back).mix, torch.eye(2, dtype=torch.float64).expand(B, 2, 2), atol=1e-14)


@COLOURS
def test_nothing_asked_is_nothing_changed(n: int) -> None:
    zero = torch.zeros(B)
    light = changes.contrast(n, zero.exp2(), zero + 0.3) @ changes.brightness(n, zero)
    tint = changes.saturation(n, zero.exp2()) @ changes.hue(n, zero) @ changes.luma(n, zero)
    assert not (tint @ light).changes().any()
    still = changes.scaling(zero, -zero) @ changes.rotation(zero) @ changes.translation(torch.zeros(B, 2))
    assert not still.changes().any()
    assert changes.brightness(n, torch.eye(B)[0]).changes().tolist() == [True] + [False] * (B - 1)


@EACH
def test_brightness_and_contrast_move_the_mean_as_they_say(shape: tuple[int, int, int]) -> None:
    x, n = images(shape), changes.colours(images(shape))
    mean, added, factor = changes.mean_colour(x), numbers(-0.1, 0.1), numbers(0.5, 1.1)
    brighter = changes.coloured(x, changes.brightness(n, added))
    assert torch.allclose(changes.mean_colour(brighter), mean + added, atol=1e-12)
    stronger = changes.coloured(x, changes.contrast(n, factor))
    assert torch.allclose(changes.mean_colour(stronger), factor * mean, atol=1e-12)
    about = changes.coloured(x, changes.contrast(n, factor, mean))
    assert torch.allclose(changes.mean_colour(about), mean, atol=1e-12)
    alpha = changes.opacity(x)
    straight = 2 * ((x[:, :n] + 1) / 2 / alpha) - 1
    assert torch.allclose(mean, (straight * alpha).sum((1, 2, 3)) / (n * alpha.sum((1, 2, 3))), atol=1e-12)


@pytest.mark.parametrize("name", COLOUR_CHANGES)
@EACH
def test_straight_colour_is_changed_and_premultiplied_again(name: str, shape: tuple[int, int, int]) -> None:
    x, n = images(shape), changes.colours(images(shape))
    change, alpha = COLOUR_CHANGES[name](n), changes.opacity(x)
    straight = (x[:, :n] + 1) / alpha - 1
    expected = torch.einsum("bij,bjhw->bihw", change.mix, straight) + change.added[:, :, None, None]
    if n != shape[0]:
        expected = expected.clamp(max=1)  # no more light than alpha lets through
    new = changes.coloured(x, change)
    assert torch.allclose(new[:, :n], alpha * (expected + 1) - 1, atol=1e-12)
    assert torch.equal(new[:, n:], x[:, n:])


@pytest.mark.parametrize("name", COLOUR_CHANGES)
@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_stays_transparent_and_colour_below_alpha(name: str, channels: int) -> None:
    x = images((channels, 7, 9))
    x[:, :, :3] = -1.0
    change = COLOUR_CHANGES[name](channels - 1) @ changes.brightness(channels - 1, torch.ones(B, dtype=torch.float64))
    new = changes.coloured(x, change)
    assert torch.equal(new[:, :, :3], x[:, :, :3])
    assert (new[:, :-1] <= new[:, -1:]).all()


def test_grey_has_no_hue_and_no_saturation() -> None:
    grey = images((1, 6, 6)).expand(B, 3, 6, 6)
    for change in (changes.hue(3, numbers(-3, 3)), changes.saturation(3, numbers(0, 2))):
        assert torch.allclose(changes.coloured(grey, change), grey, atol=1e-14)
    one = images((1, 6, 6))
    for change in (changes.hue(1, numbers(-3, 3)), changes.saturation(1, numbers(0, 2))):
        assert torch.equal(changes.coloured(one, change), one)


def test_colours_that_are_known() -> None:
    red, green = torch.tensor([1.0, -1, -1]), torch.tensor([-1.0, 1, -1])
    x = red.double().view(1, 3, 1, 1).expand(B, 3, 2, 2)
    third = torch.full((B,), 2 * math.pi / 3, dtype=torch.float64)
    assert torch.allclose(changes.coloured(x, changes.hue(3, third))[0, :, 0, 0], green.double(), atol=1e-14)
    none = changes.coloured(x, changes.saturation(3, torch.zeros(B, dtype=torch.float64)))
    assert torch.allclose(none, torch.full_like(none, -1 / 3), atol=1e-14)
    dark = changes.coloured(x, changes.luma(3, torch.ones(B, dtype=torch.float64)))
    assert torch.allclose(dark, x + 2 / 3, atol=1e-14)
    assert torch.equal(changes.coloured(-x[:, :1], changes.luma(1, torch.ones(B).double())), x[:, :1])


@EACH
def test_what_is_not_kept_is_nothing(shape: tuple[int, int, int]) -> None:
    x = images(shape)
    where = torch.zeros(B, *shape[1:], dtype=torch.bool)
    where[:, 2:4] = True
    new = changes.kept(x, where)
    assert torch.equal(new[:, :, 2:4], x[:, :, 2:4])
    assert (new[:, :, 4:] == (-1 if shape[0] in (2, 4) else 0)).all()
