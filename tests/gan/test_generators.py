"""The two generators and their critics: shapes, weights, counts and chance."""

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

Pair = tuple[Generator, nn.Module]
MAKE: dict[str, Callable[[Shape], Pair]] = {
    "mlp-gan": lambda shape: (mlp_gan(shape, latent=7, widths=(8, 16)), mlp_critic(shape, widths=(16, 8))),
    "dcgan": lambda shape: (dcgan(shape, latent=7, width=4), dcgan_critic(shape, width=4)),
}
EACH = pytest.mark.parametrize("name", MAKE)


@EACH
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 13, 37), (3, 32, 32), (4, 128, 128), (3, 9, 128)], ids=str)
def test_shapes_and_range(name: str, shape: Shape) -> None:
    generator, critic = MAKE[name](shape)
    assert generator.latent_shape == (7,)
    assert generator.classes == 0
    images = generator.decode(torch.randn(5, *generator.latent_shape))
    assert images.shape == (5, *shape)
    assert images.abs().max() <= 1
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
    ],
)
def test_values_that_make_no_network_are_refused(make: Callable[[], nn.Module], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()
