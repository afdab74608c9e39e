"""Equalised layers, modulated convolutions and styles against closed forms; both players at any size."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych import chance, recipe
from triptych.core import Batch, Shape
from triptych.errors import UsageError
from triptych.gan.equalised import Conv, Dense, Deviation, Leaky, PixelNorm, group_size
from triptych.gan.model import Generator
from triptych.gan.objective import Adversarial
from triptych.gan.penalties import PathLength, r1
from triptych.gan.stylegan2 import Modulated, stylegan2, stylegan2_critic
from triptych.nets.conv import width_at

SHAPES = pytest.mark.parametrize("shape", [(1, 8, 8), (2, 13, 37), (4, 24, 64), (3, 9, 8)], ids=str)


def tiny(shape: Shape = (3, 9, 8), classes: int = 0, conditional: bool = False) -> Generator:
    chance.reseed(0, "model")
    return stylegan2(shape, classes, latent=6, width=5, depth=2, conditional=conditional)


def noisy(model: Generator) -> Generator:
    """The model with its noise heard: strengths begin at zero."""
    for name, parameter in model.named_parameters():
        if name.endswith("strength"):
            nn.init.constant_(parameter, 0.3)
    return model


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_a_dense_layer_keeps_the_variance_and_learns_at_its_rate(rate: float) -> None:
    """Over random weights, the output for x has mean square |x|^2 / inside; a move of 1 is scaled by `rate`."""
    chance.reseed(0)
    layer, x = Dense(16, 40_000, rate=rate, offset=0.5), torch.randn(1, 16)
    y = layer(x) - 0.5
    assert y.square().mean().item() == pytest.approx(x.square().mean().item(), rel=5 * (2 / 40_000) ** 0.5)
    layer(x)[0, 0].backward()
    torch.testing.assert_close(layer.weight.grad[0], x[0] * rate / 4)
    assert layer.bias.grad[0].item() == pytest.approx(rate)
    assert Dense(2, 3, bias=False).bias is None


def test_a_convolution_keeps_the_variance() -> None:
    chance.reseed(0)
    layer, x = Conv(6, 40_000), torch.randn(1, 6, 3, 3)
    middle = layer(x)[0, :, 1, 1]
    assert middle.square().mean().item() == pytest.approx(x.square().mean().item(), rel=5 * (2 / 40_000) ** 0.5)
    assert layer(x).shape == (1, 40_000, 3, 3)
    assert torch.equal(Conv(2, 3, 1)(torch.zeros(1, 2, 4, 5)), torch.zeros(1, 3, 4, 5))


def test_pixel_norm_and_the_leaky_gain_by_hand() -> None:
    h = torch.randn(3, 5, 4, 2, dtype=torch.float64)
    torch.testing.assert_close(PixelNorm()(h).square().mean(1), torch.ones_like(h[:, 0]), rtol=1e-5, atol=0)
    torch.testing.assert_close(PixelNorm()(torch.tensor([[3.0, 4.0]])), torch.tensor([[3.0, 4.0]]) / 12.5**0.5)
    torch.testing.assert_close(Leaky()(torch.tensor([-5.0, 2.0])), torch.tensor([-1.0, 2.0]) * 2**0.5)


def test_minibatch_deviation_by_hand() -> None:
    """Groups are images 0 2 4 6 and 1 3 5 7: (0 0 6 6) deviates by 3, (1 1 1 1) by 0; a still value halves both."""
    h = torch.zeros(8, 2, 1, 1, dtype=torch.float64)
    h[:, 0, 0, 0] = torch.tensor([0.0, 1, 0, 1, 6, 1, 6, 1])
    seen = Deviation()(h)
    assert seen.shape == (8, 3, 1, 1)
    assert torch.equal(seen[:, :2], h)
    torch.testing.assert_close(seen[:, 2, 0, 0], torch.tensor([1.5, 0.0] * 4, dtype=torch.float64), rtol=0, atol=2e-4)
    assert [group_size(batch) for batch in (2, 3, 4, 5, 6, 8, 9, 10, 25, 32)] == [2, 3, 4, 5, 3, 4, 3, 2, 5, 4]


def test_one_image_has_no_deviation() -> None:
    layer = Deviation()
    with pytest.raises(UsageError, match="too few for minibatch deviation"):
        layer(torch.ones(1, 2, 3, 3))
    assert torch.equal(layer.eval()(torch.ones(1, 2, 3, 3))[:, 2], torch.zeros(1, 3, 3))


def explicit(layer: Modulated, h: Tensor, w: Tensor) -> Tensor:
    """Each image with weights of its own, as equations 1 and 3 are written."""
    s, images = layer.affine(w), []
    for image, scales in zip(h, s, strict=True):
        weight = layer.weight * layer.scale * scales[None, :, None, None]
        if layer.normed:
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        images.append(F.conv2d(image[None], weight, padding=weight.shape[-1] // 2))
    return torch.cat(images)


@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_modulated_convolution_is_one_of_modulated_weights(kernel: int, normed: bool) -> None:
    chance.reseed(0)
    layer = Modulated(4, 3, kernel, 5, normed).double()
    h, w = torch.randn(6, 4, 7, 5, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(h, w), explicit(layer, h, w), rtol=0, atol=1e-12)


def test_demodulated_outputs_have_variance_one() -> None:
    """Var y_o = sum of squared weights of o for independent inputs of variance 1: read off unit impulses."""
    chance.reseed(0)
    layer = Modulated(2, 3, 3, 5).double()
    w = torch.randn(1, 5, dtype=torch.float64)
    impulses = torch.zeros(2, 2, 5, 5, dtype=torch.float64)
    impulses[0, 0, 2, 2] = impulses[1, 1, 2, 2] = 1
    variance = layer(impulses, w.expand(2, -1)).square().sum((0, 2, 3))  # (3,)
    torch.testing.assert_close(variance, torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-6)


def test_styles_are_mixed_in_training_only() -> None:
    model = tiny()
    z = torch.randn(64, 6)
    style = lambda: model.style(z)  # noqa: E731
    mixed = style()
    assert mixed.shape == (64, model.net.places, 6) == (64, 4, 6)
    whole = model.eval().style(z)
    assert torch.equal(whole, whole[:, :1].expand_as(whole))
    same = (mixed == whole).all(2)  # (64, L)
    assert same[:, 0].all()
    assert (same[:, :-1] >= same[:, 1:]).all(), "one crossover: the first style, then the second"
    assert 0.7 < (~same[:, -1]).float().mean() <= 1
    assert {int(row.sum()) for row in same} == {1, 2, 3, 4}
    assert torch.equal(style(), whole)


def test_images_are_a_function_of_the_latent_outside_training() -> None:
    model, z = noisy(tiny()), torch.randn(3, 6)
    assert not torch.equal(model.paint(torch.ones(3, 4, 6)), model.paint(torch.ones(3, 4, 6)))
    model.eval()
    assert torch.equal(model.decode(z), model.decode(z))
    torch.testing.assert_close(model.decode(z)[1:2], model.decode(z[1:2]))
    held = {name: tensor for name, tensor in model.state_dict().items() if name.endswith("noise")}
    again = tiny().eval()
    again.load_state_dict(model.state_dict())
    assert len(held) == 3
    assert torch.equal(again.decode(z), model.decode(z))


def test_the_first_weights_are_those_of_the_styles() -> None:
    """M rows, one for each feature that enters a convolution of features; each scales that feature by the style."""
    model = tiny((3, 16, 16)).eval()
    assert model.net.first().shape == (5 * 5, 6)
    layers = [part for part in model.net.modules() if isinstance(part, Modulated) and part.normed]
    shift = torch.randn(6)
    moved = torch.cat([layer.affine(shift) - layer.affine(torch.zeros(6)) for layer in layers])
    torch.testing.assert_close(moved, model.net.first() @ shift / 6**0.5)


@SHAPES
def test_both_players_at_any_size(shape: Shape) -> None:
    model = tiny(shape)
    critic = stylegan2_critic(shape, 0, width=5)
    images = model.decode(torch.randn(4, 6))
    assert images.shape == (4, *shape)
    logits = critic(images)
    assert logits.shape == (4,)
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in (*model.parameters(), *critic.parameters()))


@SHAPES
def test_both_turns_with_their_penalties(shape: Shape) -> None:
    model = tiny(shape, 3, conditional=True)
    critic = stylegan2_critic(shape, 3, width=5)
    batch = Batch(torch.rand(4, *shape) * 2 - 1, {"labels": torch.tensor([0, 1, 2, 1])})
    for turn in Adversarial(critic, penalty=r1(1.0, every=16), path_length=2.0).turns(model):
        losses, _ = turn.loss(batch, 0)
        losses.mean().backward(inputs=list(turn.moves))
        assert all(p.grad is not None and p.grad.isfinite().all() for p in turn.moves)


def slope_by_differences(loss: Callable[[], Tensor], parameter: nn.Parameter, step: float = 1e-6) -> float:
    """d loss along the all-ones direction of a parameter."""
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            parameter.add_(sign * step)
        values.append(loss().item())
        with torch.no_grad():
            parameter.sub_(sign * step)
    return (values[0] - values[1]) / (2 * step)


def test_slopes_of_both_penalties_against_differences() -> None:
    """R1 differentiates the critic twice, path length the painter."""
    chance.reseed(0)
    shape = (1, 8, 8)
    model, critic = tiny(shape).double(), stylegan2_critic(shape, 0, width=3).double()
    x = torch.rand(2, *shape, dtype=torch.float64)

    def steep() -> Tensor:
        return r1(1.0)(critic, x, x, 0).sum()

    def length() -> Tensor:
        chance.reseed(1)
        path.mean.zero_()
        return path(model.eval(), Batch(x), 0)

    path = PathLength(2.0, every=1, shrink=1, forget=1e-12)  # the running mean is no part of the slope
    torch.set_default_dtype(torch.float64)
    try:
        for loss, parameter in (
            (steep, critic.trunk.enter[0].weight),
            (steep, critic.head.weight),
            (length, model.net.first_layer.conv.affine.weight),
            (length, model.net.first_layer.conv.weight),
        ):
            parameter.grad = None
            loss().backward()
            expected = slope_by_differences(loss, parameter)
            assert parameter.grad.sum().item() == pytest.approx(expected, rel=1e-4, abs=1e-8)
    finally:
        torch.set_default_dtype(torch.float32)


def test_labels_matter() -> None:
    model, critic = tiny(classes=3, conditional=True).eval(), stylegan2_critic((3, 9, 8), 3, 5).eval()
    z = torch.randn(1, 6).expand(3, -1)
    images = model.decode(z, {"labels": torch.arange(3)})
    assert not torch.allclose(images[0], images[1])
    assert not torch.allclose(images[1], images[2])
    logits = critic(images[:1].expand(3, -1, -1, -1), {"labels": torch.arange(3)})
    assert len(logits.unique()) == 3
    with pytest.raises(UsageError, match="give labels"):
        model.decode(z)


def test_parameters_as_the_catalogue_says() -> None:
    model = stylegan2((3, 32, 32), 0, latent=128, width=64)
    count = sum(parameter.numel() for parameter in model.parameters())
    mapping, wide = 8 * (128 * 128 + 128), 7 * (64 * 129 + 64 * 64 * 9 + 64 + 1)
    assert count == recipe.about("stylegan2").parameters == mapping + wide + 4 * (64 * 129 + 64 * 3) + 64 * 16 + 3


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: stylegan2((1, 8, 8), 0, depth=0), "depth 0"),
        (lambda: stylegan2((1, 8, 8), 0, mixing=1.5), "mixing 1.5"),
        (lambda: stylegan2((1, 8, 8), 0, width=0), "width of a convolutional network is 0"),
        (lambda: stylegan2((1, 8, 8), 0, conditional=True), "no classes"),
        (lambda: stylegan2_critic((1, 7, 8), 0), "Images of 7x8 px"),
        (lambda: width_at((8, 8), -1, 32), "width of a convolutional network is -1"),
    ],
)
def test_values_that_make_no_network_are_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()


def test_features_halve_at_each_doubling_beyond_32_pixels() -> None:
    assert [width_at((side, 8), 96, 32) for side in (8, 32, 64, 128, 256)] == [96, 96, 48, 24, 12]
