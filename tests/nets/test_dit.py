"""The transformer over patches: shapes, its start, turning, and what it is told."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from triptych.core import Shape
from triptych.errors import UsageError
from triptych.nets.dit import PatchTransformer, angles, patches, turned, whole


def awake(net: nn.Module) -> nn.Module:
    """The network with its zero layers moved, as after training."""
    torch.manual_seed(0)
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return net.eval()


@pytest.mark.parametrize("patch", [1, 2, 3, 8])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 13, 37), (4, 9, 8), (3, 1, 1)], ids=str)
def test_any_shape_comes_out_as_it_went_in(shape: Shape, patch: int) -> None:
    net, x, level = (
        PatchTransformer(shape, width=16, depth=1, heads=2, patch=patch),
        torch.randn(2, *shape),
        torch.tensor([0.0, 900.0]),
    )
    assert not net(x, level).any()  # it starts at zero
    out = awake(net)(x, level)
    assert out.shape == x.shape
    assert not torch.allclose(out[:1], net(x[:1], level[1:]))


def test_patches_are_undone() -> None:
    x = torch.randn(2, 3, 6, 8)
    tokens, grid = patches(x, 2)
    assert tokens.shape == (2, 12, 12)
    assert grid == (3, 4)
    assert torch.equal(whole(tokens, grid, 2), x)
    assert torch.equal(tokens[0, 5].view(3, 2, 2), x[0, :, 2:4, 2:4])


def test_each_block_is_the_identity_at_first() -> None:
    net = PatchTransformer((3, 8, 8), width=16, depth=2, heads=2)
    heard, h = net.embed(torch.zeros(2), {}), torch.randn(2, 16, 16)
    for block in net.blocks:
        assert torch.equal(block(h, heard, angles(4, 4, net.pairs)), h)


def test_turning_knows_offsets_alone() -> None:
    """<turned q at (i, j), turned k at (i', j')> depends on (i - i', j - j'), to 1e-12; and norms stay."""
    q, k = torch.randn(2, 16, dtype=torch.float64)
    turns = angles(6, 7, 4).double()
    at_q, at_k = (turned(x.expand(1, 1, 42, 16), turns)[0, 0].view(6, 7, 16) for x in (q, k))

    def score(a: tuple[int, int], b: tuple[int, int]) -> Tensor:
        return at_q[a] @ at_k[b]

    torch.testing.assert_close(score((0, 1), (2, 3)), score((3, 3), (5, 5)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(score((4, 0), (1, 6)), score((5, 0), (2, 6)), rtol=1e-6, atol=1e-6)
    assert abs(score((0, 0), (0, 1)) - score((0, 0), (1, 0))) > 1e-3
    torch.testing.assert_close(at_q.norm(dim=2), q.norm().expand(6, 7))


def test_a_bottleneck_is_narrow() -> None:
    net = PatchTransformer((3, 16, 16), width=16, depth=1, heads=2, patch=8, bottleneck=4)
    assert [layer.out_features for layer in net.enter] == [4, 16]
    assert awake(net)(torch.randn(1, 3, 16, 16), torch.zeros(1)).shape == (1, 3, 16, 16)


def test_every_weight_learns() -> None:
    net = awake(PatchTransformer((2, 5, 6), classes=3, width=16, depth=2, heads=2, words=6, shown=1))
    given = {"labels": torch.tensor([0, 2]), "words": torch.randn(2, 4, 6), "heard": torch.ones(2, 4, dtype=torch.bool)}
    net(
        torch.randn(2, 2, 5, 6), torch.tensor([3.0, 400.0]), {**given, "image": torch.randn(2, 1, 5, 6)}
    ).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_copy_is_the_same() -> None:
    net = awake(PatchTransformer((1, 8, 8), width=16, depth=1, heads=2))
    again = PatchTransformer((1, 8, 8), width=16, depth=1, heads=2).eval()
    again.load_state_dict(net.state_dict())
    x, level = torch.randn(1, 1, 8, 8), torch.tensor([7.0])
    assert torch.equal(net(x, level), again(x, level))
    assert torch.equal(net(x, level), copy.deepcopy(net)(x, level))


@pytest.mark.parametrize("wrong", [{"width": 12}, {"depth": 0}, {"patch": 0}, {"dropout": 1.0}], ids=str)
def test_no_such_network(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="No transformer"):
        PatchTransformer((1, 8, 8), **{"heads": 2, "width": 16, "depth": 1, **wrong})  # type: ignore[arg-type]
