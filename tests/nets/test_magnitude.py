"""The U-Net that preserves magnitudes: each rule against its closed form, and all of them together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import triptych
from tiny import fast
from triptych.cli import main
from triptych.core import Shape
from triptych.errors import UsageError
from triptych.magnitudes import UnitRows, unit
from triptych.nets.known import Heard, Telling
from triptych.nets.magnitude import (
    SILU,
    Attention,
    Block,
    Layer,
    MagnitudeUNet,
    PixelNorm,
    UnitEmbedding,
    both,
    plus,
    silu,
    waves,
)
from triptych.training.optimisers import adam

RUNS = ("whole", "parts")
FINE = {"rtol": 1e-11, "atol": 1e-11}


def magnitude(x: Tensor, *dims: int) -> Tensor:
    """Root mean square, of all values or along dimensions."""
    return x.square().mean(dims or None).sqrt()


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def tiny(shape: Shape = (1, 8, 8), **how: int) -> MagnitudeUNet:
    torch.manual_seed(0)
    return MagnitudeUNet(shape, **{"width": 8, "blocks": 1, "head": 4, "dropout": 0, **how})


def awake(net: nn.Module) -> nn.Module:
    """The network with its gains opened, as after training."""
    for parameter in net.parameters():
        if not parameter.dim():
            nn.init.constant_(parameter, 0.5)
    return net.eval()


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 8, 8), (4, 13, 37), (2, 9, 5), (3, 1, 1)], ids=str)
def test_any_shape_comes_out_as_it_went_in(shape: Shape) -> None:
    net, x, level = tiny(shape), torch.randn(2, *shape), torch.tensor([0.0, 999.0])
    assert not net(x, level).any()  # it starts at zero
    out = awake(net)(x, level)
    assert out.shape == x.shape
    assert not torch.allclose(out[:1], net(x[:1], level[1:]))


@torch.no_grad()
def test_features_start_with_a_magnitude_of_one() -> None:
    """Within a factor of 1.3 behind each block, and that of the level and the class."""
    torch.manual_seed(0)
    net = MagnitudeUNet((3, 16, 16), classes=3, width=32, multipliers=(1, 2), blocks=1, head=32).eval()
    found: list[Tensor] = []
    for part in net.modules():
        if isinstance(part, Block):
            part.register_forward_hook(lambda _, __, h: found.append(magnitude(h)))
        if isinstance(part, UnitEmbedding):
            part.register_forward_hook(lambda _, __, e: found.append(magnitude(e.pooled)))
    net(torch.randn(8, 3, 16, 16), torch.linspace(0, 999, 8), {"labels": torch.arange(8) % 4 - 1})
    assert len(found) == 1 + 3 + 1 + 2 + 4  # level, down, middle, rise, up
    assert min(found) > 1 / 1.3
    assert max(found) < 1.3


def test_the_constant_of_the_activation() -> None:
    """The root of E[SiLU(x)^2] for normal x, by quadrature."""
    x = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    density = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)
    exact = torch.trapezoid(nn.functional.silu(x).square() * density, x).sqrt()
    assert abs(exact / SILU - 1) < 2e-3  # the paper's three digits


def test_sums_and_pairs_of_independent_features() -> None:
    """Orthogonal vectors of magnitude 1 stand for independent values; magnitudes are then exact."""
    x, y = torch.linalg.qr(normal(40, 2))[0].T * math.sqrt(40)
    for share in (0.0, 0.3, 0.5, 1.0):
        torch.testing.assert_close(magnitude(plus(x, y, share)), magnitude(x), **FINE)
    assert torch.equal(plus(x, y, 0.0), x)
    few, many = unit(normal(2, 3, 5, 4).movedim(1, -1)).movedim(-1, 1), unit(normal(2, 9, 5, 4).movedim(1, -1))
    pair = both(few, many.movedim(-1, 1))
    torch.testing.assert_close(magnitude(pair, 1), torch.ones(2, 5, 4, dtype=torch.float64), **FINE)
    torch.testing.assert_close(pair[:, :3].square().sum(1), pair[:, 3:].square().sum(1), rtol=1e-9, atol=1e-9)


def test_zeros_stay_zeros() -> None:
    x = torch.zeros(2, 4, requires_grad=True)
    y = unit(x)
    y.sum().backward()
    assert not y.any()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("kernel", [0, 1, 3])
def test_a_layer_has_unit_norm_whatever_its_weights(kernel: int) -> None:
    """The answer to a white input has variance 1, longer weights change nothing, gradients are at right angles."""
    layer = Layer(5, 7, kernel).double().eval()
    x = normal(4, 5, 6, 6) if kernel else normal(4, 5)
    if not kernel:
        torch.testing.assert_close(layer(torch.eye(5).double()).square().sum(0), torch.ones(7).double(), **FINE)
    before = layer(x)
    before.square().sum().backward()
    inner = (layer.weight.grad * layer.weight).flatten(1).sum(1)
    torch.testing.assert_close(inner, torch.zeros(7, dtype=torch.float64), rtol=0, atol=1e-9)
    with torch.no_grad():
        layer.weight *= 7.0
    torch.testing.assert_close(layer(x), before, **FINE)


@torch.no_grad()
@pytest.mark.parametrize("part", ["dense", "conv", "silu", "sum", "pair", "pixel norm", "levels"])
def test_independent_normal_values_keep_a_magnitude_of_one(part: str) -> None:
    """Over N values the mean square is within four of its deviations, and the paper's constant has three digits.

    Squares deviate by sqrt(2) times their mean for normal values, 2.1 for their SiLUs, 0.7 for waves: 2.1 bounds all,
    and a layer's features, of which some resemble each other.
    """
    torch.manual_seed(0)
    x, y = normal(64, 32, 24, 24), torch.randn(64, 16, 24, 24, dtype=torch.float64)
    parts: dict[str, Callable[[], Tensor]] = {
        "dense": lambda: Layer(32, 8).double()(x.movedim(1, -1)),
        "conv": lambda: Layer(32, 8, 3).double()(x)[..., 1:-1:3, 1:-1:3],  # fields that do not meet, nor the border
        "silu": lambda: silu(x),
        "sum": lambda: plus(x[:, :16], y, 0.3),
        "pair": lambda: both(x, y),
        "pixel norm": lambda: PixelNorm()(x),
        "levels": lambda: waves(torch.rand(64).double() * 1000, *torch.rand(2, 20_000).double() * 2 * math.pi),
    }
    answer = parts[part]()
    bound = 4 * 2.1 * math.sqrt(1 / answer.numel()) + 2e-3
    assert abs(float(answer.square().mean()) - 1) < bound


def test_optimisers_set_weights_back() -> None:
    """To a magnitude of 1 in each row, in which no answer changes; gains and other weights move freely."""
    layer, gain, x = Layer(5, 7, 3).double(), nn.Parameter(torch.ones(7, 1).double()), normal(1, 5, 4, 4)
    moved = copy.deepcopy(layer)
    optimiser, plain = adam(0.5)([layer.weight, gain]), torch.optim.Adam(moved.parameters(), 0.5)
    for one in (layer, moved):
        (one(x).square().mean() * (gain.mean() if one is layer else 1)).backward()
    optimiser.step(0)
    plain.step()
    assert isinstance(copy.deepcopy(layer).weight, UnitRows)
    torch.testing.assert_close(magnitude(layer.weight, 1, 2, 3), torch.ones(7).double(), **FINE)
    assert float(magnitude(moved.weight.detach())) > 1.05
    torch.testing.assert_close(layer(x), moved(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(gain.detach(), torch.full((7, 1), 0.5).double(), rtol=1e-6, atol=1e-6)


def test_two_answers_before_one_way_back() -> None:
    layer, x = Layer(5, 7, 3), torch.randn(1, 5, 4, 4)
    (layer(x) + layer(2 * x)).sum().backward()
    assert layer.weight.grad is not None


def test_attention_by_cosines() -> None:
    layer = Attention(8, Telling(4, head=4)).double().eval()
    h = normal(2, 8, 3, 5)
    rows = h.flatten(2).transpose(1, 2)
    query, key, value = layer.ask(rows).view(2, 15, 3, 2, 4).permute(2, 0, 3, 1, 4)
    cosines = nn.functional.cosine_similarity(query[:, :, :, None], key[:, :, None], -1)  # (B, heads, T, T)
    value = 2 * nn.functional.normalize(value, dim=-1)
    mixed = torch.softmax(2 * cosines, -1) @ value  # 2 = sqrt(d)
    exact = layer.answer(mixed.transpose(1, 2).flatten(2)).transpose(1, 2).unflatten(2, (3, 5))
    exact = (0.7 * h + 0.3 * exact) / math.sqrt(0.58)
    torch.testing.assert_close(layer(h, Heard(torch.zeros(2, 4).double())), exact, rtol=1e-10, atol=1e-10)


def test_sides_that_are_odd_are_halved_and_grow_back() -> None:
    net = tiny((1, 7, 9), multipliers=(1, 1))
    halved = net.down[1].before[0](torch.ones(1, 8, 7, 9))
    assert torch.equal(halved, torch.ones(1, 8, 4, 5))
    assert net.rise[1].before[0](halved).shape == (1, 8, 7, 9)


def test_it_learns_four_images_by_heart() -> None:
    """The noise on them is told to a tenth of what saying nothing leaves, and every weight keeps its magnitude."""
    torch.manual_seed(0)
    net = MagnitudeUNet((2, 6, 9), width=16, multipliers=(1, 2), blocks=1, attention=(8,), dropout=0, head=16)
    optimiser, images = adam(0.01)(list(net.parameters())), torch.randint(0, 2, (4, 2, 6, 9)) * 2.0 - 1
    losses = []
    for step in range(150):
        noise, x = torch.randn(8, 2, 6, 9), images.repeat(2, 1, 1, 1)
        loss = (net((x + noise) / math.sqrt(2), torch.full((8,), 500.0)) - noise).square().mean()
        loss.backward()
        optimiser.step(step)
        losses.append(float(loss.detach()))
    assert 0.9 < losses[0] < 1.1
    assert sum(losses[-10:]) / 10 < 0.1
    for weight in net.parameters():
        if isinstance(weight, UnitRows):
            torch.testing.assert_close(magnitude(weight.flatten(1), 1), torch.ones(len(weight)))


def test_a_model_takes_it_from_the_command_line(tmp_path: Path) -> None:
    """It trains, goes on bit for bit where it stopped, and is told the class that it is to make."""
    net = "model.net={kind: magnitude-unet, width: 8, blocks: 1, multipliers: [1, 2], head: 4}"
    sets = [word for change in (net, *fast("denoise"), "batch=16") for word in ("--set", change)]
    for images, run in (("640", "whole"), ("160", "parts"), ("640", "parts")):
        line = [
            "train",
            "edm",
            "digits",
            "--images",
            images,
            "-o",
            str(tmp_path / run),
            *sets,
            "--scores",
            "0",
            "--quiet",
        ]
        assert main(line) == 0
    whole, parts = ({p.name: p for p in sorted((tmp_path / run / "at").iterdir())[-1].iterdir()} for run in RUNS)
    for file in ("model.safetensors", "state.safetensors"):
        one, other = load_file(whole[file]), load_file(parts[file])
        assert all(torch.equal(one[key], other[key]) for key in one | other)
    model = triptych.load(str(tmp_path / "whole"))
    assert any(isinstance(weight, UnitRows) for weight in model.parameters())
    two, seven = (next(triptych.generate(model, [0], {"labels": torch.tensor([k])})).images for k in (2, 7))
    assert not torch.equal(two, seven)


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"blocks": 0}, {"multipliers": ()}, {"multipliers": (1, 0)}, {"dropout": 1.0}], ids=str
)
def test_networks_that_there_are_not(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="No U-Net"):
        MagnitudeUNet((3, 16, 16), **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"net.head is 3"):
        tiny(head=3)
