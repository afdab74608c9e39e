"""The network of vectors: shapes, its start, and what it is told."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from triptych.core import Shape
from triptych.errors import UsageError
from triptych.nets.mlp import ResidualMlp


def awake(net: nn.Module) -> nn.Module:
    """The network with its zero layers moved, as after training."""
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return net.eval()


@pytest.mark.parametrize("shape", [(16, 1, 1), (4, 3, 5), (1, 1, 1)], ids=str)
def test_any_shape_comes_out_as_it_went_in(shape: Shape) -> None:
    x, level = torch.randn(2, *shape), torch.tensor([0.0, 999.0])
    net = ResidualMlp(shape, width=8)
    assert not net(x, level).any()  # it starts at zero
    out = awake(net)(x, level)
    assert out.shape == x.shape
    assert not torch.equal(out[:1], net(x[:1], level[1:]))


def test_it_hears_the_class_and_that_there_is_none() -> None:
    net = awake(ResidualMlp((4, 1, 1), classes=3, width=8))
    x, level = torch.randn(1, 4, 1, 1), torch.zeros(1)
    said = [net(x, level, {"labels": torch.tensor([label])}) for label in (0, 2, -1)]
    assert torch.equal(said[2], net(x, level))
    assert not torch.equal(said[0], said[1])


@pytest.mark.parametrize("wrong", [{"width": 1}, {"blocks": 0}, {"dropout": 1.0}], ids=str)
def test_no_such_network(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="No residual network"):
        ResidualMlp((4, 1, 1), **wrong)  # type: ignore[arg-type]
