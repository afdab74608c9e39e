"""The generators and their critics: shapes, weights, counts, classes and chance."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from triptych import chance, recipe
from triptych.chance import Draw
from triptych.core import Shape
from triptych.errors import UsageError
from triptych.gan.dcgan import dcgan, dcgan_critic
from triptych.gan.mlp import mlp_critic, mlp_gan
from triptych.gan.model import Generator
from triptych.gan.r3gan import Block, Stage, r3gan, r3gan_critic
from triptych.gan.resnet import Attention, resnet, resnet_critic

Pair = tuple[Generator, nn.Module]
MAKE: dict[str, Callable[[Shape], Pair]] = {
    "mlp-gan": lambda shape: (mlp_gan(shape, latent=7, widths=(8, 16)), mlp_critic(shape, widths=(16, 8))),
    "dcgan": lambda shape: (dcgan(shape, latent=7, width=4), dcgan_critic(shape, width=4)),
    "wgan-gp": lambda shape: (resnet(shape, 0, latent=7, width=4), resnet_critic(shape, 0, width=4)),
    "sngan": lambda shape: (
        resnet(shape, 0, latent=7, width=4, attention=16),
        resnet_critic(shape, 0, width=4, norm="spectral", pool="sum", attention=16),
    ),
    "r3gan": lambda shape: (r3gan(shape, 0, 7, 8, 1), r3gan_critic(shape, 0, 8, 1, features=5)),
    "r3gan, bounded": lambda shape: (
        r3gan(shape, 0, 7, 8, 1, bounded=True),
        r3gan_critic(shape, 0, 8, 1, features=5),
    ),
    "r3gan, grouped": lambda shape: (r3gan(shape, 0, 7, 8, 1, 4), r3gan_critic(shape, 0, 8, 1, 4, features=5)),
}
EACH = pytest.mark.parametrize("name", MAKE)
BOUNDED = [name for name in MAKE if "r3gan" not in name or "bounded" in name]  # by a tanh
CLASSES = 5
TOLD: dict[str, Callable[[Shape], Pair]] = {
    "wgan-gp": lambda shape: (
        resnet(shape, CLASSES, 7, 4, conditional=True),
        resnet_critic(shape, CLASSES, 4),
    ),
    "r3gan": lambda shape: (
        r3gan(shape, CLASSES, 7, 8, 1, conditional=True),
        r3gan_critic(shape, CLASSES, 8, 1),
    ),
}
EACH_TOLD = pytest.mark.parametrize("name", TOLD)


@EACH
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 13, 37), (3, 32, 32), (4, 128, 128), (3, 9, 128)], ids=str)
def test_shapes_and_range(name: str, shape: Shape) -> None:
    generator, critic = MAKE[name](shape)
    assert generator.latent_shape == (7,)
    assert generator.classes == 0
    images = generator.decode(torch.randn(5, *generator.latent_shape))
    assert images.shape == (5, *shape)
    assert images.isfinite().all()
    assert name not in BOUNDED or images.abs().max() <= 1
    assert critic(images).shape == (5,)


@EACH
def test_an_image_follows_its_seed_alone(name: str) -> None:
    generator, _ = MAKE[name]((3, 13, 37))
    generator.eval()
    together, alone = generator.sample(Draw(range(6))), generator.sample(Draw([4]))
    torch.testing.assert_close(together[4:5], alone)
    assert not torch.equal(together[3], together[4])


@EACH
def test_the_seed_decides_the_weights(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        chance.reseed(seed, "model")
        return torch.cat([p.detach().flatten() for net in MAKE[name]((3, 16, 16)) for p in net.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_the_weights_of_a_dcgan_begin_small() -> None:
    """N(0, 0.02) for weights, N(1, 0.02) for the scales of batch norm, within five standard errors."""
    chance.reseed(0, "model")
    layers = [*dcgan((3, 64, 64)).modules(), *dcgan_critic((3, 64, 64)).modules()]
    weights = [x for x in layers if isinstance(x, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    norms = [x for x in layers if isinstance(x, nn.BatchNorm2d)]
    for found, mean in ((weights, 0.0), (norms, 1.0)):
        values = torch.cat([layer.weight.detach().flatten() for layer in found])
        assert values.mean().item() == pytest.approx(mean, abs=5 * 0.02 / len(values) ** 0.5)
        assert values.std().item() == pytest.approx(0.02, rel=5 / (2 * len(values)) ** 0.5)
        assert all((layer.bias == 0).all() for layer in found if layer.bias is not None)


def test_the_layers_of_the_mlp_gan() -> None:
    generator, critic = mlp_gan((1, 28, 28)), mlp_critic((1, 28, 28))
    assert [x.out_features for x in generator.modules() if isinstance(x, nn.Linear)] == [256, 512, 1024, 784]
    assert [x.num_features for x in generator.modules() if isinstance(x, nn.BatchNorm1d)] == [256, 512, 1024]
    assert [x.out_features for x in critic.modules() if isinstance(x, nn.Linear)] == [1024, 512, 256, 1]
    assert {x.p for x in critic.modules() if isinstance(x, nn.Dropout)} == {0.3}
    assert {x.negative_slope for x in critic.modules() if isinstance(x, nn.LeakyReLU)} == {0.2}


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_parameters_by_hand() -> None:
    n, z = 3 * 32 * 32, 100
    mlp = z * 256 + 256 * 512 + 512 * 1024 + 2 * (256 + 512 + 1024) + 1024 * n + n
    assert count(mlp_gan((3, 32, 32))) == recipe.about("mlp-gan").parameters == mlp
    dc = z * 4 * 4 * 256 + 16 * (256 * 128 + 128 * 64 + 64 * 3) + 2 * (256 + 128 + 64) + 3
    assert count(dcgan((3, 32, 32))) == recipe.about("dcgan").parameters == dc
    block = 2 * (9 * 128**2 + 128) + 128**2 + 128 + 4 * 128
    res = 128 * 2048 + 2048 + 3 * block + 2 * 128 + 9 * 128 * 3 + 3
    assert count(resnet((3, 32, 32), 0)) == recipe.about("wgan-gp").parameters == res
    block = 2 * 9 * 128**2 + 128
    r3 = 128 * 16 + 64 * 128 + 8 * block + 128 * 3 + 3
    assert count(r3gan((3, 32, 32), 0, width=128)) == r3


@EACH_TOLD
def test_a_class_is_heard(name: str) -> None:
    chance.reseed(0, "model")
    generator, critic = TOLD[name]((3, 16, 16))
    for part in generator.modules():  # what a class is told with begins at zero in some
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight)
    generator.eval()
    z, x = torch.randn(2, 7), torch.randn(2, 3, 16, 16)
    labels = [torch.tensor([one, 3]) for one in (1, 2, -1)]
    images = [generator.decode(z, {"labels": told}) for told in labels]
    logits = [critic(x, {"labels": told}) for told in labels]
    for answers in (images, logits):
        assert not torch.equal(answers[0][0], answers[1][0])
        assert not torch.equal(answers[0][0], answers[2][0])
        torch.testing.assert_close(answers[0][1], answers[1][1])
    unknown = critic.head(critic.features(x[:1]))[:, 0]  # the label -1: no projection
    torch.testing.assert_close(logits[2][:1], unknown)
    with pytest.raises(UsageError, match="give labels"):
        generator.decode(z)
    with pytest.raises(UsageError, match="images with labels"):
        critic(x)


@EACH
def test_latents_of_another_shape_are_refused(name: str) -> None:
    generator, _ = MAKE[name]((1, 8, 8))
    for wrong in (torch.randn(2, 8), torch.randn(7), torch.randn(2, 7, 1)):
        with pytest.raises(UsageError, match=r"takes \(images, 7\)"):
            generator.decode(wrong)


@EACH
def test_truncation_pulls_latents_to_the_centre(name: str) -> None:
    """Without a mapping network the centre is the latent 0, so psi scales the latent."""
    generator, _ = MAKE[name]((3, 16, 16))
    generator.eval()
    assert generator.centre().abs().max() < 1e-6
    z = Draw(range(4)).normal(7)
    for psi in (1.0, 0.5, 0.0):
        images = generator.sample(Draw(range(4)), truncation=psi)
        torch.testing.assert_close(images, generator.decode(psi * z), atol=1e-5, rtol=1e-4)
    for wrong in (-0.1, 1.1):
        with pytest.raises(UsageError, match="truncation is"):
            generator.sample(Draw([0]), truncation=wrong)


@EACH_TOLD
def test_each_class_has_a_centre_of_its_own(name: str) -> None:
    generator, _ = TOLD[name]((3, 16, 16))
    generator.eval()
    given = {"labels": torch.tensor([3, 1, 3])}
    expected = torch.zeros(3, 7 + CLASSES)
    expected[torch.arange(3), 7 + given["labels"]] = 1
    torch.testing.assert_close(generator.centre(given), expected, atol=1e-6, rtol=0)
    images = generator.sample(Draw(range(3)), given, truncation=0.0)
    torch.testing.assert_close(images[0], images[2])


class Squares(nn.Module):
    """A mapping to 2 layers of 3 styles, w = (z^2, z^2 + class)."""

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None) -> torch.Tensor:
        first = z.square()[:, :3]
        return torch.stack([first, first + (0 if labels is None else labels[:, None])], 1)


def test_the_centre_is_the_mean_style() -> None:
    paint = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Unflatten(1, (1, 2, 2)))
    plain = Generator(paint, (1, 2, 2), 3, mapping=Squares())
    assert plain.centre().shape == (1, 2, 3)
    torch.testing.assert_close(plain.centre(), torch.ones(1, 2, 3), atol=5 * (2 / 512) ** 0.5, rtol=0)
    told = Generator(paint, (1, 2, 2), 3, classes=4, mapping=Squares())
    centre = told.centre({"labels": torch.tensor([2, 0])})
    torch.testing.assert_close(centre[:, 1] - centre[:, 0], torch.tensor([2.0, 0.0])[:, None].expand(2, 3))
    w = plain.style(Draw([5]).normal(3))
    pulled = plain.centre() + 0.7 * (w - plain.centre())
    torch.testing.assert_close(plain.sample(Draw([5]), truncation=0.7), plain.paint(pulled))


def test_spectral_norm_bounds_every_layer_of_a_critic() -> None:
    critic = resnet_critic((3, 16, 16), 0, width=4, norm="spectral")
    for _ in range(100):  # one step of power iteration each
        critic(torch.randn(1, 3, 16, 16))
    layers = [part for part in critic.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(layers) == 8
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_blocks_and_attention_begin_as_nothing() -> None:
    h = torch.randn(2, 8, 6, 5)
    for part in (Block(8, 0, 8), Block(8, 4, 8), Attention(8)):
        assert torch.equal(part(h), h)


def test_attention_has_no_places() -> None:
    """Places in another order are answered in that order (equation 2: a sum over all of them)."""
    attend, h, order = Attention(16), torch.randn(2, 16, 3, 4), torch.randperm(12)
    nn.init.ones_(attend.gamma)
    moved = h.flatten(2)[:, :, order].view_as(h)
    torch.testing.assert_close(attend(moved).flatten(2), attend(h).flatten(2)[:, :, order])
    assert not torch.allclose(attend(h), h)


@pytest.mark.parametrize("name", [name for name in MAKE if "gan-gp" in name or "sngan" in name or "r3gan" in name])
def test_where_a_style_enters(name: str) -> None:
    """A direction that the first weights do not see changes no image."""
    generator, _ = MAKE[name]((3, 16, 16))
    generator.eval()
    weights = generator.net.first()
    assert weights.shape[1] == 7
    with torch.no_grad():
        weights[:, 2] = 0
    z = torch.randn(3, 7)
    other = z.clone()
    other[:, 2] += 5
    torch.testing.assert_close(generator.decode(z), generator.decode(other))
    other[:, 1] += 5
    assert not torch.allclose(generator.decode(z), generator.decode(other))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: mlp_gan((1, 8, 8), latent=0), "latent size is 0"),
        (lambda: dcgan((1, 8, 8), latent=-1), "latent size is -1"),
        (lambda: mlp_gan((1, 8, 8), widths=()), "make no network"),
        (lambda: mlp_critic((1, 8, 8), widths=(4, 0)), "make no network"),
        (lambda: mlp_critic((1, 8, 8), dropout=1.0), "dropout is 1.0"),
        (lambda: dcgan((1, 8, 8), width=0), "width of a convolutional network is 0"),
        (lambda: dcgan((1, 7, 8)), "Images of 7x8 px"),
        (lambda: resnet((1, 8, 8), 0, latent=0), "latent size is 0"),
        (lambda: resnet((1, 7, 8), 0), "Images of 7x8 px"),
        (lambda: resnet((1, 8, 8), 0, conditional=True), "the images have no classes"),
        (lambda: r3gan((1, 8, 8), 0, latent=0), "latent size is 0"),
        (lambda: r3gan((1, 8, 8), 0, width=0), "width of a convolutional network is 0"),
        (lambda: r3gan((1, 8, 8), 0, blocks=0), "0 blocks"),
        (lambda: r3gan_critic((1, 8, 8), 0, width=8, groups=5), "groups that divide 16"),
        (lambda: r3gan((1, 8, 8), 0, conditional=True), "the images have no classes"),
        (lambda: r3gan((1, 7, 8), 0), "Images of 7x8 px"),
    ],
)
def test_values_that_make_no_network_are_refused(make: Callable[[], nn.Module], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 37), (4, 33, 31), (2, 8, 64)], ids=str)
def test_strided_ends_leave_no_block_at_the_full_sides(shape: tuple[int, int, int]) -> None:
    sizes = {"width": 8, "blocks": 1, "core": 2, "strided": True}
    torch.manual_seed(0)
    painter, critic = r3gan(shape, 0, latent=4, **sizes), r3gan_critic(shape, 0, **sizes)
    images = painter.decode(torch.randn(3, 4))
    assert images.shape == (3, *shape)
    assert critic(images).shape == (3,)
    for net in (painter, critic):
        assert all(part.side != shape[1:] for part in net.modules() if isinstance(part, Stage))
    assert 0.3 < float(images.detach().std()) < 3
