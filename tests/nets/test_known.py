"""What networks are told beside the noisy image: each kind is heard, and what is not known is as what is absent."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from triptych.errors import UsageError
from triptych.nets.dit import PatchTransformer
from triptych.nets.known import Embedding, RmsNorm, attention, beside
from triptych.nets.magnitude import MagnitudeUNet
from triptych.nets.mlp import ResidualMlp
from triptych.nets.unet import UNet

SHAPE = (2, 7, 6)
NETS = {
    "unet": partial(UNet, width=8, blocks=1, multipliers=(1, 2), attention=(8,)),
    "unet, adaptive": partial(UNet, width=8, blocks=1, multipliers=(1, 2), attention=(8,), adaptive=True, head=4),
    "magnitude": partial(MagnitudeUNet, width=8, blocks=1, multipliers=(1, 2), attention=(8,), head=4),
    "dit": partial(PatchTransformer, width=16, depth=1, heads=2),
    "mlp": partial(ResidualMlp, width=8, blocks=1),
}
X, LEVEL = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.tensor([0.0, 10.0, 900.0])


@pytest.fixture(params=NETS)
def make(request: pytest.FixtureRequest) -> Callable[..., nn.Module]:
    def made(**told: int) -> nn.Module:
        torch.manual_seed(1)
        net = NETS[request.param](SHAPE, **told)
        for parameter in net.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
        return net.eval()

    return made


def words(*heard: int, features: int = 5, most: int = 4) -> dict[str, Tensor]:
    """Words of three images, of which so many are heard."""
    there = torch.arange(most)[None] < torch.tensor(heard)[:, None]
    return {"words": torch.randn(3, most, features, generator=torch.Generator().manual_seed(2)), "heard": there}


def test_classes_are_heard(make: Callable[..., nn.Module]) -> None:
    net = make(classes=3)
    said = [net(X, LEVEL, {"labels": torch.full((3,), label)}) for label in (0, 2, -1)]
    assert torch.equal(said[2], net(X, LEVEL))
    assert not torch.allclose(said[0], said[1])


def test_words_are_heard(make: Callable[..., nn.Module]) -> None:
    net = make(words=5)
    silent, plain = net(X, LEVEL, words(0, 0, 0)), net(X, LEVEL)
    torch.testing.assert_close(silent, plain, rtol=1e-5, atol=1e-5)
    some = net(X, LEVEL, words(0, 2, 4))
    assert some.isfinite().all()
    torch.testing.assert_close(some[0], plain[0], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(some[1], plain[1])
    other = words(0, 2, 4)
    other["words"][1, 2:] = 77.0  # not heard
    torch.testing.assert_close(net(X, LEVEL, other), some, rtol=1e-5, atol=1e-5)


def test_an_image_is_shown(make: Callable[..., nn.Module]) -> None:
    if isinstance(make(), ResidualMlp):
        with pytest.raises(UsageError, match="shown no images"):
            make(shown=1)
        return
    net = make(shown=3)
    shown = torch.randn(3, 3, *SHAPE[1:])
    assert torch.equal(net(X, LEVEL), net(X, LEVEL, {"image": torch.zeros_like(shown)}))
    assert not torch.allclose(net(X, LEVEL), net(X, LEVEL, {"image": shown}))


def test_what_is_absent_adds_no_weight(make: Callable[..., nn.Module]) -> None:
    names = {name for name, _ in make().named_parameters()}
    assert not {name for name in names if "label" in name or "hear" in name or "read" in name}


def test_the_embedding_by_hand() -> None:
    """Words are a mean over those that are heard, added before the last SiLU."""
    embed, known = Embedding(4, 0, 5), words(2, 1, 0)
    plain = embed(LEVEL, {})
    heard = embed(LEVEL, known)
    assert plain.words is None
    mean = torch.stack([known["words"][0, :2].mean(0), known["words"][1, 0], torch.zeros(5)])
    before = embed.second(
        nn.functional.silu(
            embed.first(torch.cat([(LEVEL[:, None] * embed.rates).sin(), (LEVEL[:, None] * embed.rates).cos()], 1))
        )
    )
    torch.testing.assert_close(heard.pooled, nn.functional.silu(before + mean @ embed.read.weight.T))
    assert torch.equal(heard.mask(2)[0, 0, 0], torch.tensor([True, True, True, True, False, False]))


def test_beside_is_a_concatenation() -> None:
    image = torch.randn(3, 1, *SHAPE[1:])
    assert beside(X, {"image": image}, 0) is X
    assert torch.equal(beside(X, {"image": image}, 1), torch.cat([X, image], 1))
    assert torch.equal(beside(X, {}, 1)[:, 2:], torch.zeros_like(image))


@pytest.mark.parametrize(
    "build",
    [partial(UNet, width=8, blocks=1), partial(PatchTransformer, width=16, depth=2, heads=2)],
    ids=["unet", "dit"],
)
def test_checkpointing_keeps_every_bit(build: Callable[..., nn.Module]) -> None:
    """The same gradients, dropout included, of weights that are not zero."""
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        net = build((3, 8, 8), dropout=0.5, checkpointing=again)
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.1)
        net(torch.randn(4, 3, 8, 8), torch.arange(4.0)).square().sum().backward()
        found.append([parameter.grad for parameter in net.parameters()])
    for one, other in zip(*found, strict=True):
        assert one is not None
        assert torch.equal(one, other)
        assert one.any()


def test_a_norm_is_float32_inside_and_gives_what_it_is_given() -> None:
    """Its weights are float32, and bfloat16 would round the mean of the squares."""
    x, layer = torch.randn(4, 16, generator=torch.Generator().manual_seed(0)), RmsNorm(16)
    rounded = x.bfloat16()
    exact = (
        rounded.double() / rounded.double().square().mean(1, keepdim=True).add(torch.finfo(torch.float32).eps).sqrt()
    )
    assert layer(rounded).dtype == torch.bfloat16
    assert torch.equal(layer(rounded), exact.bfloat16())
    torch.testing.assert_close(layer(x), x / x.square().mean(1, keepdim=True).add(torch.finfo(x.dtype).eps).sqrt())


@pytest.mark.parametrize("places", [1, 5, 300])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_attention_is_a_mean_by_softmax(places: int, precision: torch.dtype) -> None:
    """softmax(Q K^T / sqrt(d)) V in float64, and its slopes; bfloat16 has 8 bits."""
    query, key, value = (torch.randn(2, 3, places, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    weights = torch.exp(torch.einsum("bhqd,bhkd->bhqk", query, key) / 2)
    whole = torch.einsum("bhqk,bhkd->bhqd", weights / weights.sum(3, keepdim=True), value)
    answer = attention(query.to(precision), key.to(precision), value.to(precision))
    near = 1e-4 if precision == torch.float32 else 0.05
    torch.testing.assert_close(answer.double(), whole, rtol=near, atol=near)
    slopes = [torch.autograd.grad(of.double().square().sum(), (query, key, value)) for of in (answer, whole)]
    for ours, exact in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, exact, rtol=4 * near, atol=4 * near)
