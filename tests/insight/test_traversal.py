"""What latents spend, in closed form, and what moves when they do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from blobs import blobs, source
from linear import Linear
from triptych.core import NOTHING, Given
from triptych.errors import DataError, UsageError
from triptych.gan.model import Generator
from triptych.insight import spending, strips
from triptych.pixels import to_float, to_uint8

IMAGES = blobs(50, side=4)
MODEL = Linear(torch.tensor([0.5, 0.0, 1.0, 0.0]))


def test_latents_spend_their_divergence_and_those_without_effect_nothing() -> None:
    found = spending(MODEL, source(IMAGES), batch=7)
    x = to_float(IMAGES).flatten(1).double()
    w, s = MODEL.w.double(), MODEL.noise
    mean, variance = (x @ MODEL.u.double()) * w / (w**2 + s**2), s**2 / (w**2 + s**2)
    wanted = (0.5 * (mean**2 + variance - 1 - variance.log())).mean(0)
    torch.testing.assert_close(found.nats, wanted, rtol=1e-4, atol=1e-6)
    assert found.active.tolist() == [1, 0, 1, 0]
    assert (found.order()[2:], found.units, found.images) == ([1, 3], 1, 50)
    assert float(found.nats[found.order()[0]]) == float(found.nats.max())


@pytest.mark.parametrize(("variance", "active"), [(0.0099, 0), (0.0101, 1)])
def test_a_unit_is_active_where_its_mean_varies_by_more_than_a_hundredth(variance: float, active: int) -> None:
    class Means(Linear):
        def encode(self, x: Tensor, given: Given = NOTHING, draw: object = None) -> Tensor:
            return torch.where(x[:, 0, 0, :1] > 0, 1.0, -1.0) * (variance / 2) ** 0.5 + 100

    images = torch.stack([torch.full((1, 4, 4), level, dtype=torch.uint8) for level in (0, 255)])
    assert int(spending(Means(torch.ones(1)), source(images)).active[0]) == active  # two values of +-c vary by 2 c^2


class Spatial(Linear):
    """Each pixel is a latent of its own, in one channel of two; the other channel does nothing."""

    def __init__(self) -> None:
        super().__init__(torch.ones(1))
        self.latent_shape = (2, 4, 4)

    def encode(self, x: Tensor, given: Given = NOTHING, draw: object = None) -> Tensor:
        return torch.cat([torch.zeros_like(x), x], 1)

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        return z[:, 1:] / 10

    def spent(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        return torch.cat([torch.zeros_like(x), torch.full_like(x, 0.5)], 1)


def test_channels_of_spatial_latents_count_as_one() -> None:
    found = spending(Spatial(), source(IMAGES))
    assert (found.nats.tolist(), found.active.tolist(), found.units) == ([0.0, 8.0], [0, 16], 16)
    moved, still = strips(Spatial(), torch.zeros(1, 2, 4, 4), [1, 0], reach=2, steps=5)
    levels = to_uint8(torch.tensor([-0.2, -0.1, 0, 0.1, 0.2]).view(5, 1, 1, 1))
    assert torch.equal(moved, levels.expand(5, 1, 4, 4))
    assert torch.equal(still, levels[2:3].expand(5, 1, 4, 4))


def test_a_row_moves_one_latent_by_so_many_deviations() -> None:
    z = torch.tensor([[0.2, -1.0, 0.1, 3.0]])
    (row,) = strips(MODEL, z, [2], reach=1.5, steps=3)
    wanted = to_uint8(MODEL.decode(torch.stack([z[0] + torch.tensor([0, 0, t, 0]) for t in (-1.5, 0, 1.5)])))
    assert torch.equal(row, wanted)
    assert float(z[0, 2]) == pytest.approx(0.1)


def test_what_cannot_be_told() -> None:
    with pytest.raises(DataError, match="two of them at least"):
        spending(MODEL, source(IMAGES[:1]))
    net = nn.Sequential(nn.Linear(2, 16), nn.Unflatten(1, (1, 4, 4)))
    with pytest.raises(UsageError, match="no latents that spend nats"):
        spending(Generator(net, (1, 4, 4), 2), source(IMAGES))
