"""Latent models: any codec, any prior, and the standard form of what lies between them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from triptych import schema
from triptych.chance import Draw
from triptych.core import NOTHING, Given, Model, Shape, abilities
from triptych.errors import UsageError
from triptych.sampling import choices, generate
from triptych.together.latent import HORIZON, Latent, Standard

IMAGE = (1, 4, 6)


class Codec(Model):
    """z = 3 x + 1 as a vector or with places, x = (z - 1) / 3; a draw adds a thousandth of noise."""

    image_shape, classes = IMAGE, 0

    def __init__(self, latent_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.latent_shape = latent_shape

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        return ((z - 1) / 3).reshape(len(z), *IMAGE)

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        return self.decode(draw.normal(*self.latent_shape))

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        z = (3 * x + 1).reshape(len(x), *self.latent_shape)
        return z if draw is None else z + 1e-3 * draw.normal(*self.latent_shape)


class Noise(Model):
    """Its images are its noise; it takes a word."""

    classes = 0

    def __init__(self, image_shape: Shape) -> None:
        super().__init__()
        self.image_shape = self.latent_shape = image_shape
        self.scale = nn.Parameter(torch.ones(()))

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        return self.scale * z

    def sample(self, draw: Draw, given: Given = NOTHING, loudness: float = 1.0) -> Tensor:
        return self.decode(loudness * draw.normal(*self.latent_shape))


SHAPES = pytest.mark.parametrize(("latent", "inner"), [((24,), (24, 1, 1)), ((4, 2, 3), (4, 2, 3))], ids=str)


@SHAPES
def test_samples_are_the_priors_in_the_codecs_units(latent: tuple[int, ...], inner: Shape) -> None:
    model = Latent(Codec(latent), Noise)
    assert (model.prior.image_shape, model.latent_shape, model.image_shape) == (inner, inner, IMAGE)
    model.standard.mean.fill_(2.0)
    model.standard.square.fill_(4.0 + 0.25)
    u = Draw([3, 4]).normal(*inner)
    expected = ((2 + 0.5 * u - 1) / 3).reshape(2, *IMAGE)
    torch.testing.assert_close(model.sample(Draw([3, 4])), expected)
    torch.testing.assert_close(model.decode(u), expected)
    torch.testing.assert_close(model.sample(Draw([3, 4]), loudness=0.0), torch.full((2, *IMAGE), 1 / 3))
    x = torch.rand(5, *IMAGE)
    torch.testing.assert_close(model.painted(model.standard(model.latents(x))), x)


def test_what_sampling_is_asked_for_goes_to_the_prior() -> None:
    model = Latent(Codec((24,)), Noise)
    assert choices(model) == {"loudness": 1.0}
    one, two = (next(generate(model, [0], loudness=loud)).images for loud in (0.1, 2.0))
    assert not torch.equal(one, two)
    with pytest.raises(UsageError, match="sampling has no 'loud'; did you mean 'loudness'"):
        generate(model, [0], loud=1)


def test_it_needs_a_codec_that_encodes_and_says_where_a_prior_does_not() -> None:
    with pytest.raises(UsageError, match=r"model\.codec: Noise does not encode"):
        Latent(Noise((1, 4, 4)), Noise)
    with pytest.raises(UsageError, match="take the features of its codec"):
        Latent(Codec((24,)), Noise).encode(torch.rand(2, *IMAGE))


def test_the_standard_form_is_exact_and_then_follows() -> None:
    torch.manual_seed(0)
    z = 5 + torch.tensor([0.5, 3.0]).view(2, 1, 1) * torch.randn(1000, 2, 3, 4)
    standard = Standard(2)
    for part in z.split(128):
        standard.follow(part)
    by_hand = z.movedim(1, 0).flatten(1)
    torch.testing.assert_close(standard.mean.flatten(), by_hand.mean(1))
    torch.testing.assert_close(standard.deviation().flatten(), by_hand.std(1, correction=0), rtol=1e-3, atol=0)
    u = standard(z)
    torch.testing.assert_close(standard.undone(u), z)
    assert u.std().item() == pytest.approx(1, abs=0.01)
    for _ in range(6 * HORIZON // 1000):
        standard.follow(z + 10)
    left = (1 - 1000 / HORIZON) ** (5 * HORIZON // 1000)  # the horizon is full after its first images
    assert standard.mean[0].item() == pytest.approx(15, abs=10 * left)


def test_a_channel_that_never_changes_is_not_blown_up() -> None:
    standard = Standard(1)
    standard.follow(torch.full((64, 1, 1, 1), 7.0))
    assert standard(torch.full((1, 1, 1, 1), 7.0)).abs() < 1e-3
    assert math.isfinite(standard(torch.full((1, 1, 1, 1), 8.0)).item())


VAE = {"kind": "vae", "latent": 5, "width": 4, "hidden": 8, "noise": "logistic", "prior": "normal"}
WALK = {"kind": "diffusion", "path": "straight", "scaling": "flow"}
PRIORS: dict[str, dict[str, Any]] = {
    "residual-mlp": {**WALK, "net": {"kind": "residual-mlp", "width": 8, "blocks": 1}},
    "unet": {**WALK, "net": {"kind": "unet", "width": 8, "blocks": 1}},
    "linear": {**WALK, "net": {"kind": "unet", "width": 8, "blocks": 1}, "path": "linear", "scaling": "eps"},
    "mlp-gan": {"kind": "mlp-gan", "latent": 3, "widths": [8]},
}


@pytest.mark.parametrize("prior", PRIORS)
def test_a_recipe_puts_any_prior_behind_a_codec(prior: str) -> None:
    """The schema tells the prior the shape of the latents, which only the codec knows."""
    node = schema.complete_node("model", {"kind": "latent", "codec": VAE, "prior": PRIORS[prior]}, "model")
    model = schema.build("model", node, {"image_shape": (3, 16, 24), "classes": 0}).eval()
    assert model.prior.image_shape == (5, 1, 1)
    assert model.sample(Draw([0, 1])).shape == (2, 3, 16, 24)
    assert "sample" in abilities(model)


def test_latents_may_have_places() -> None:
    codec = {"kind": "autoencoder-kl", "noise": "laplace", "latent": 4, "reduction": 2, "width": 4, "blocks": 1}
    node = schema.complete_node("model", {"kind": "latent", "codec": codec, "prior": PRIORS["unet"]}, "model")
    model = schema.build("model", node, {"image_shape": (4, 16, 24), "classes": 0}).eval()
    assert model.prior.image_shape == model.codec.latent_shape == (4, 8, 12)
    x = model.sample(Draw([0, 1]), steps=2)
    assert x.shape == (2, 4, 16, 24)
    assert model.encode(x).shape == (2, 4, 8, 12)


def test_classes_reach_the_prior() -> None:
    node = {"kind": "latent", "codec": VAE, "prior": {**PRIORS["residual-mlp"], "conditional": True}}
    node = schema.complete_node("model", node, "model")
    model = schema.build("model", node, {"image_shape": (1, 8, 8), "classes": 3}).eval()
    assert model.classes == 3
    for parameter in model.prior.parameters():
        nn.init.normal_(parameter)
    one, two = (model.sample(Draw([0]), {"labels": torch.tensor([k])}, steps=3) for k in (0, 1))
    assert not torch.equal(one, two)
