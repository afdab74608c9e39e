"""The convolutional ladders fit any image, lose no pixel, and count their weights as the paper does."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from triptych.errors import UsageError
from triptych.nets.conv import ConvDecoder, ConvEncoder, ladder

SIDES = [(8, 8), (9, 15), (13, 37), (28, 28), (37, 13), (32, 32), (100, 33), (8, 128), (127, 64), (128, 128)]


@pytest.mark.parametrize("core", [1, 2, 4])
@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_ladders_end_on_the_core(sides: tuple[int, int], core: int) -> None:
    steps = ladder(sides, core)
    assert steps[0] == sides
    assert all(core <= side < 2 * core for side in steps[-1])
    assert all(n in (2 * m, 2 * m + 1, m) for a, b in itertools.pairwise(steps) for n, m in zip(a, b, strict=True))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_decoders_make_what_encoders_read(sides: tuple[int, int], channels: int) -> None:
    shape = (channels, *sides)
    encoder, decoder = ConvEncoder(shape, width=2), ConvDecoder(5, shape, width=2)
    images = decoder(torch.randn(3, 5))
    assert images.shape == (3, *shape)
    assert encoder(images).shape == (3, encoder.features)


@pytest.mark.parametrize("sides", SIDES, ids=str)
def test_every_pixel_is_seen_and_made(sides: tuple[int, int]) -> None:
    """Positive weights without norm: a pixel that no path reaches would have no gradient, or stay at zero."""
    shape = (2, *sides)
    encoder = ConvEncoder(shape, width=2, norm=False, activation=nn.Identity)
    decoder = ConvDecoder(5, shape, width=2, norm=False, activation=nn.Identity)
    for parameter in [*encoder.parameters(), *decoder.parameters()]:
        nn.init.constant_(parameter, 0.0 if parameter.ndim == 1 else 0.01)
    images = torch.zeros(1, *shape, requires_grad=True)
    (slopes,) = torch.autograd.grad(encoder(images).sum(), images)
    assert (slopes > 0).all()
    assert (decoder(torch.ones(1, 5)) > 0).all()


def test_the_paper_s_layers_at_64_pixels() -> None:
    """Figure 1 of Radford et al. 2015: 4x4x1024, then 8, 16 and 32 px with 512, 256 and 128 channels."""
    decoder = ConvDecoder(100, (3, 64, 64), width=128)
    convolutions = [layer for layer in decoder.layers if isinstance(layer, nn.ConvTranspose2d)]
    assert [layer.in_channels for layer in convolutions] == [1024, 512, 256, 128]
    assert {layer.kernel_size for layer in convolutions} == {(4, 4)}
    norms = [layer for layer in decoder.layers if isinstance(layer, nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == [1024, 512, 256, 128]


def test_no_norm_on_the_first_convolution_of_the_trunk() -> None:
    encoder = ConvEncoder((3, 64, 64), width=8)
    kinds = [type(layer) for layer in encoder.layers]
    assert kinds[:5] == [nn.Conv2d, nn.LeakyReLU, nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert kinds.count(nn.BatchNorm2d) == kinds.count(nn.Conv2d) - 1


def test_norm_can_be_left_out() -> None:
    for net in (ConvEncoder((3, 32, 32), 4, norm=False), ConvDecoder(5, (3, 32, 32), 4, norm=False)):
        assert not [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
        assert all(
            layer.bias is not None for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        )


@pytest.mark.parametrize(("sides", "core"), [((7, 32), 4), ((8, 8), 5), ((16, 16), 0), ((0, 8), 1)])
def test_sides_too_short_are_refused(sides: tuple[int, int], core: int) -> None:
    with pytest.raises(UsageError, match="cannot be halved to a core"):
        ladder(sides, core)


def test_an_empty_width_is_refused() -> None:
    with pytest.raises(UsageError, match="width of a convolutional network is 0"):
        ConvEncoder((1, 8, 8), width=0)
