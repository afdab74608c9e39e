"""Images to a grid of features and back, whatever their sides."""

from __future__ import annotations

import pytest
import torch

from triptych.errors import UsageError
from triptych.nets.grid import GridDecoder, GridEncoder, Residual, grid_of

SHAPES = [(1, 8, 8), (3, 9, 8), (2, 13, 37), (4, 33, 31), (3, 32, 48), (1, 64, 8)]


@pytest.mark.parametrize("core", [2, 4, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_way_back_ends_on_the_image(shape: tuple[int, int, int], core: int) -> None:
    sides = grid_of(shape, core)
    features = GridEncoder(shape[0], sides, 5, width=8, blocks=1)(torch.randn(2, *shape))
    assert features.shape == (2, 5, *sides[-1])
    assert GridDecoder(shape[0], sides, 5, width=8, blocks=1)(features).shape == (2, *shape)
    assert max(sides[-1]) < 2 * core
    assert len(sides) > 1


def test_every_pixel_is_seen_and_made() -> None:
    sides = grid_of((1, 9, 13), 2)
    x = torch.randn(1, 1, 9, 13, requires_grad=True)
    torch.manual_seed(0)
    z = GridEncoder(1, sides, 2, width=8, blocks=1)(x)
    (slope,) = torch.autograd.grad(z.sum(), x)
    assert (slope != 0).all()
    made = GridDecoder(1, sides, 2, width=8, blocks=1)
    z = z.detach().requires_grad_()
    for row, column in ((0, 0), (8, 12), (4, 6)):
        (slope,) = torch.autograd.grad(made(z)[0, 0, row, column], z)
        assert (slope != 0).any()


def test_a_block_adds_to_what_it_is_shown() -> None:
    block, h = Residual(4, 0.0), torch.randn(2, 4, 3, 5)
    torch.nn.init.zeros_(block.layers[-1].weight)
    torch.nn.init.zeros_(block.layers[-1].bias)
    assert torch.equal(block(h), h)


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(UsageError, match="width"):
        GridEncoder(1, [(8, 8), (4, 4)], 2, width=0, blocks=1)
    with pytest.raises(UsageError, match="blocks"):
        GridDecoder(1, [(8, 8), (4, 4)], 2, width=4, blocks=-1)
