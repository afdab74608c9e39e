"""The U-Net: shapes, the ladder, attention, and its start."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from triptych.core import Shape
from triptych.errors import UsageError
from triptych.nets.known import Heard, Telling
from triptych.nets.unet import Attention, UNet, attends, ladder


def awake(net: nn.Module) -> nn.Module:
    """The network with its zero layers moved, as after training."""
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return net.eval()


def tiny(shape: Shape = (1, 8, 8), classes: int = 0, width: int = 8, **how: float) -> nn.Module:
    torch.manual_seed(0)
    return awake(UNet(shape, classes, width, blocks=1, **how))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (4, 13, 37), (2, 37, 13), (3, 128, 8), (1, 9, 64)], ids=str)
def test_any_shape_comes_out_as_it_went_in(shape: Shape) -> None:
    net = tiny(shape)
    x = torch.randn(2, *shape)
    out = net(x, torch.tensor([0.0, 999.0]))
    assert out.shape == x.shape
    assert out.isfinite().all()


def test_it_starts_at_zero() -> None:
    net = UNet((3, 16, 16), width=8)
    assert not net(torch.randn(2, 3, 16, 16), torch.ones(2)).any()


def test_the_paper_s_network() -> None:
    """35.7 million parameters (Ho et al. 2020, appendix B)."""
    with torch.device("meta"):
        net = UNet((3, 32, 32), width=128)
    assert sum(p.numel() for p in net.parameters()) == 35_746_307
    found = [name for name, part in net.named_modules() if isinstance(part, Attention)]
    assert len(found) == 2 + 1 + 3  # two blocks down and three up at 16x16, one in the middle
    assert max(m.num_groups for m in net.modules() if isinstance(m, nn.GroupNorm)) == 32


def test_sides_halve_until_they_are_small() -> None:
    assert ladder((32, 32), 4) == [(32, 32), (16, 16), (8, 8), (4, 4)]
    assert ladder((8, 8), 4) == [(8, 8), (4, 4), (2, 2)]
    assert ladder((128, 8), 9) == [(128, 8), (64, 4), (32, 2)]


@pytest.mark.parametrize(
    ("sides", "answer"),
    [((16, 16), True), ((14, 14), True), ((9, 3), True), ((8, 8), False), ((17, 5), False)],
)
def test_where_it_attends(sides: tuple[int, int], answer: bool) -> None:
    assert attends(sides, (16,)) == answer


def test_it_hears_level_and_label() -> None:
    net, x = tiny(classes=3), torch.randn(1, 1, 8, 8)

    def ask(level: float, label: int) -> Tensor:
        out: Tensor = net(x, torch.tensor([level]), {"labels": torch.tensor([label])})
        return out

    assert not torch.allclose(ask(1, 0), ask(500, 0))
    assert not torch.allclose(ask(1, 0), ask(1, 2))


def test_images_of_a_batch_do_not_meet() -> None:
    net, x, level = tiny((3, 13, 10)), torch.randn(4, 3, 13, 10), torch.tensor([0.0, 3.0, 100.0, 999.0])
    torch.testing.assert_close(net(x, level)[2:3], net(x[2:3], level[2:3]), rtol=1e-4, atol=1e-5)


def test_attention_is_over_all_places() -> None:
    torch.manual_seed(0)
    layer = awake(Attention(8, Telling(4))).double()
    h = torch.randn(2, 8, 3, 5, dtype=torch.float64)
    rows = layer.norm(h).flatten(2).transpose(1, 2)  # type: ignore[operator]
    query, key, value = layer.ask(rows).chunk(3, -1)  # type: ignore[operator]
    mixed = torch.softmax(query @ key.transpose(1, 2) / 8**0.5, -1) @ value
    exact = h + layer.answer(mixed).transpose(1, 2).unflatten(2, (3, 5))  # type: ignore[operator]
    torch.testing.assert_close(layer(h, Heard(torch.zeros(2, 4))), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 3},
        {"blocks": 0},
        {"multipliers": ()},
        {"multipliers": (1, 0)},
        {"dropout": 1.0},
        {"dropout": -0.1},
    ],
    ids=str,
)
def test_networks_that_there_are_not(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="No U-Net"):
        UNet((3, 16, 16), **wrong)  # type: ignore[arg-type]
