"""What every network that is told a level must do: learn with each weight, be copied, and be compiled."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from triptych.core import Given
from triptych.nets.dit import PatchTransformer
from triptych.nets.magnitude import MagnitudeUNet
from triptych.nets.mlp import ResidualMlp
from triptych.nets.unet import UNet

SMALL = {"width": 8, "blocks": 1, "multipliers": (1, 2), "attention": (8,), "dropout": 0.0}
NETS: dict[str, Callable[..., nn.Module]] = {
    "unet": partial(UNet, **SMALL, shown=1),  # type: ignore[arg-type]
    "unet, adaptive": partial(UNet, **SMALL, adaptive=True, head=4, shown=1),  # type: ignore[arg-type]
    "magnitude": partial(MagnitudeUNet, **SMALL, head=4, shown=1),  # type: ignore[arg-type]
    "dit": partial(PatchTransformer, width=16, depth=1, heads=2, shown=1),
    "mlp": partial(ResidualMlp, width=8, blocks=1),
}
LEVEL = torch.tensor([0.0, 10.0, 900.0])


def shown(channels: int) -> tuple[Tensor, Given]:
    """Three images that are not square, and all that may be known of them."""
    draw = torch.Generator().manual_seed(0)
    given = {
        "labels": torch.tensor([0, 2, -1]),
        "words": torch.randn(3, 4, 5, generator=draw),
        "heard": torch.tensor([[True] * 4, [True, False, False, False], [False] * 4]),
        "image": torch.randn(3, 1, 7, 6, generator=draw),
    }
    return torch.randn(3, channels, 7, 6, generator=draw), given


def made(name: str, channels: int, asleep: bool = False) -> nn.Module:
    """A network that is told of all; its zero weights moved, if it is not `asleep`."""
    torch.manual_seed(1)
    net = NETS[name]((channels, 7, 6), classes=3, words=5)
    for parameter in net.parameters():
        if not asleep and not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return net


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("name", NETS)
def test_every_weight_learns(name: str, channels: int) -> None:
    """From its start a few steps open what is closed at first; then each weight has a slope, and none is NaN."""
    net, (x, given) = made(name, channels, asleep=True), shown(channels)
    optimiser = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(4):
        optimiser.zero_grad()
        (net(x, LEVEL, given) - x).square().mean().backward()
        optimiser.step()
    slopes = {key: parameter.grad for key, parameter in net.named_parameters()}
    assert [key for key, slope in slopes.items() if slope is None or not slope.any()] == []
    assert all(slope is not None and slope.isfinite().all() for slope in slopes.values())


@pytest.mark.parametrize("name", NETS)
def test_copies_are_the_same(name: str) -> None:
    net, (x, given) = made(name, 2).eval(), shown(2)
    again = made(name, 2, asleep=True).eval()
    again.load_state_dict(net.state_dict())
    answer = net(x, LEVEL, given)
    assert torch.equal(answer, copy.deepcopy(net)(x, LEVEL, given))
    assert torch.equal(answer, again(x, LEVEL, given))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own parts
@pytest.mark.parametrize("name", NETS)
def test_compiled_and_eager_agree(name: str) -> None:
    """In one graph, while training: answers and slopes."""
    net, (x, given) = made(name, 2), shown(2)
    torch._dynamo.reset()
    found = []
    for call in (net, torch.compile(net, backend="aot_eager", fullgraph=True)):
        answer = call(x, LEVEL, given)
        found.append((answer, *torch.autograd.grad(answer.square().sum(), list(net.parameters()))))
    for eager, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-4)
