"""The model: shapes, chance, alpha, and a scale that cannot vanish."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych import chance
from triptych.chance import Draw
from triptych.core import Batch, Shape, abilities
from triptych.errors import UsageError
from triptych.nets.coder import Residual
from triptych.pixels import to_float
from triptych.vae.autoencoder import autoencoder_kl
from triptych.vae.densities import STEP
from triptych.vae.likelihood import gaussian, laplace, logistic
from triptych.vae.model import Vae, vae
from triptych.vae.objective import Elbo
from triptych.vae.prior import gaussians, normal

SHAPES = [(1, 8, 8), (3, 13, 37), (2, 16, 16), (3, 32, 32), (4, 72, 24), (3, 128, 128)]
SMALL: Shape = (1, 8, 8)


def images(count: int, shape: Shape, seed: int = 0) -> Tensor:
    """Random uint8 images as the models see them."""
    generator = torch.Generator().manual_seed(seed)
    return to_float(torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8))


def tiny(shape: Shape, **values: object) -> Vae:
    torch.manual_seed(0)
    sizes = {"classes": 0, "noise": logistic(shape), "prior": normal(), "latent": 5, "width": 4, "hidden": 16}
    return vae(shape, **{**sizes, **values}).eval()  # type: ignore[arg-type]


def fit(model: Vae, x: Tensor, steps: int, rate: float) -> list[float]:
    """The mean losses of a few steps of Adam on one batch."""
    (turn,) = Elbo().turns(model)
    optimiser = torch.optim.Adam(turn.moves, rate)
    history = []
    model.train()
    for step in range(steps):
        chance.reseed(0, step, turn.name)
        loss = turn.loss(Batch(x), step)[0].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(float(loss.detach()))
    model.eval()
    return history


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_shapes(shape: Shape) -> None:
    model, x, draw = tiny(shape), images(2, shape), Draw([0, 1])
    assert (model.image_shape, model.latent_shape) == (shape, (5,))
    z = model.encode(x)
    assert z.shape == (2, 5)
    for pictures in (model.decode(z), model.reconstruct(x), model.sample(draw)):
        assert pictures.shape == x.shape
        assert pictures.abs().max() <= 1
    nats = model.log_likelihood(x, draw, samples=2).nats
    assert nats.shape == (2,)
    assert torch.isfinite(nats).all()


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 37), (4, 64, 64)], ids=str)
def test_trains_without_a_number_that_is_not_finite(shape: Shape) -> None:
    model = tiny(shape, dropout=0.1, noise=gaussian(shape))
    history = fit(model, images(4, shape), 8, 3e-3)
    assert history[-1] < history[0]
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_what_it_can_do() -> None:
    assert abilities(tiny(SMALL)) == ("sample", "encode", "score")


@torch.no_grad()
def test_an_image_follows_its_seed_alone() -> None:
    model = tiny(SMALL)
    alone, among = model.sample(Draw([7])), model.sample(Draw([3, 7, 9]))
    torch.testing.assert_close(among[1:2], alone, rtol=0, atol=1e-6)
    assert not torch.equal(among[0], among[1])
    x = images(3, SMALL)
    alone, among = model.encode(x[1:2], draw=Draw([7])), model.encode(x, draw=Draw([3, 7, 9]))
    torch.testing.assert_close(among[1:2], alone, rtol=0, atol=1e-6)
    assert not torch.allclose(alone, model.encode(x[1:2]))
    nats = model.log_likelihood(x, Draw([3, 7, 9]), samples=4).nats
    torch.testing.assert_close(nats[1:2], model.log_likelihood(x[1:2], Draw([7]), samples=4).nats)


@torch.no_grad()
def test_one_weighted_sample_is_the_plain_bound() -> None:
    model, x, noise = tiny(SMALL), images(3, SMALL), Draw(range(3)).normal(1, 5)[:, 0]
    posterior = model.posterior(x)
    plain = model.log_weight(x, posterior, posterior.at(noise))
    torch.testing.assert_close(model.log_likelihood(x, Draw(range(3)), samples=1).nats, plain)


@torch.no_grad()
def test_more_samples_tighten_the_bound_on_average() -> None:
    model, x = tiny(SMALL), images(200, SMALL)
    means = [float(model.log_likelihood(x, Draw(range(200)), samples=k).nats.mean()) for k in (1, 4, 16)]
    assert means == sorted(means)


def test_overfits_one_batch() -> None:
    x = images(8, SMALL).sign()  # black and white pixels: 1 bit each
    model = tiny(SMALL, latent=8, width=16, hidden=64)
    history = fit(model, x, 150, 1e-2)
    with torch.no_grad():
        right = (model.reconstruct(x).sign() == x).float().mean()
    assert float(right) > 0.99
    assert history[-1] < history[0] / 4


def test_the_scale_never_falls_below_half_a_step() -> None:
    model = tiny(SMALL)
    torch.nn.init.constant_(model.noise.log_scale, -100)
    assert float(model.noise.scale().detach()) == pytest.approx(STEP / 2)
    history = fit(model, images(4, SMALL), 8, 3e-3)
    assert all(map(math.isfinite, history))
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_the_scale_learns_how_far_off_the_decoder_is() -> None:
    model, x = tiny(SMALL), images(64, SMALL)
    torch.nn.init.zeros_(model.decoder.net[-1].layers[-1].weight)  # the decoder says 0 for every pixel
    (turn,) = Elbo().turns(model)
    optimiser = torch.optim.Adam([model.noise.log_scale], 0.1)
    for step in range(60):
        turn.loss(Batch(x), step)[0].mean().backward()
        optimiser.step()
        model.zero_grad()
    spread = float(x.std())  # of uniform values; a logistic fitted to them has nearly the same
    assert 0.7 * spread < float(model.noise.scale().detach()) < 1.3 * spread


def test_a_posterior_far_out_stays_finite() -> None:
    model = tiny(SMALL)
    torch.nn.init.constant_(model.encoder[-1].bias, 1e4)
    losses, stats = Elbo().turns(model)[0].loss(Batch(images(2, SMALL)), 0)
    assert torch.isfinite(losses).all()
    assert torch.isfinite(stats["kl"])


@torch.no_grad()
def test_hidden_colour_is_not_scored() -> None:
    clear = torch.zeros(2, 4, 8, 8, dtype=torch.uint8)
    clear[0, :3] = 200  # colour under an alpha of zero
    model = tiny((4, 8, 8))
    nats = model.log_likelihood(to_float(clear), Draw([0, 0]), samples=2).nats
    torch.testing.assert_close(nats[0], nats[1])


WRONG = [{"latent": 0}, {"hidden": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"width": 0}]


@pytest.mark.parametrize("values", WRONG)
def test_wrong_sizes_are_named(values: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        tiny(SMALL, **values)


def test_no_samples_are_no_bound() -> None:
    with pytest.raises(UsageError, match="samples"):
        tiny(SMALL).log_likelihood(images(1, SMALL), Draw([0]), samples=0)


@torch.no_grad()
def test_a_conditional_model_is_told_the_class() -> None:
    model = tiny(SMALL, classes=3, conditional=True)
    x = images(3, SMALL)
    labels = {"labels": torch.tensor([0, 1, 2])}
    again = {"labels": torch.tensor([0, 1, 0])}
    assert "conditional" in abilities(model)
    same, other = model.decode(torch.zeros(3, 5), labels), model.decode(torch.zeros(3, 5), again)
    torch.testing.assert_close(same[:2], other[:2])
    assert not torch.equal(same[2], other[2])
    torch.testing.assert_close(model.encode(x, labels), model.encode(x))  # the image says what it is
    assert model.sample(Draw([1, 2, 3]), labels).shape == x.shape
    with pytest.raises(UsageError, match="labels"):
        model.decode(torch.zeros(3, 5))
    with pytest.raises(UsageError, match="no classes"):
        tiny(SMALL, conditional=True)


@pytest.mark.parametrize("shape", [(1, 8, 8), (4, 33, 31)], ids=str)
def test_residual_ladders_learn_too(shape: Shape) -> None:
    model = tiny(shape, blocks=1)
    history = fit(model, images(4, shape), 8, 3e-3)
    assert history[-1] < history[0]


@torch.no_grad()
def test_images_come_from_the_fitted_prior_and_are_scored_by_it() -> None:
    model = tiny(SMALL, fitted=gaussians(2))
    assert model.fitted is not None
    model.fitted.mean.fill_(3.0)
    model.fitted.log_diagonal.fill_(5.0)  # narrow: every draw is near 3
    torch.testing.assert_close(model.sample(Draw([4])), model.decode(torch.full((1, 5), 3.0)), rtol=0, atol=0.05)
    x, seeds = images(2, SMALL), [0, 1]
    with_it = model.log_likelihood(x, Draw(seeds), samples=2).nats
    model.fitted = None
    assert (with_it < model.log_likelihood(x, Draw(seeds), samples=2).nats).all()  # a prior far off costs


@torch.no_grad()
def test_a_draw_of_pixels_scatters_around_the_mean() -> None:
    model, seeds = tiny(SMALL), list(range(400))
    torch.nn.init.constant_(model.noise.log_scale, math.log(0.05))
    apart = model.sample(Draw(seeds), pixels="draw") - model.sample(Draw(seeds))
    assert float(apart.std()) == pytest.approx(0.05 + STEP / 2, rel=0.05)


@pytest.mark.parametrize("wish", [{"temperature": 0.0}, {"temperature": 2.5}, {"pixels": "median"}])
def test_wishes_of_a_sample_that_mean_nothing_are_named(wish: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wish))):
        tiny(SMALL).sample(Draw([0]), **wish)


@pytest.mark.parametrize(("shape", "latent"), [((3, 32, 48), (4, 8, 12)), ((4, 33, 31), (4, 8, 7))], ids=str)
@torch.no_grad()
def test_a_kl_auto_encoder_has_an_image_for_a_latent(shape: Shape, latent: tuple[int, int, int]) -> None:
    model = autoencoder_kl(shape, laplace(shape), width=8)
    x = images(2, shape)
    assert model.latent_shape == latent
    assert model.encode(x).shape == (2, *latent)
    assert model.reconstruct(x).shape == x.shape
    assert torch.isfinite(model.log_likelihood(x, Draw([0, 1]), samples=2).nats).all()


@torch.no_grad()
def test_a_strided_ladder_works_at_the_smaller_sides_alone() -> None:
    shape = (2, 33, 31)
    model, seen = autoencoder_kl(shape, laplace(shape), width=8, strided=True), set()
    for part in model.modules():
        if isinstance(part, Residual):
            part.register_forward_hook(lambda part, args, out: seen.add(tuple(out.shape[2:])))
    assert model.reconstruct(images(2, shape)).shape == (2, *shape)
    assert seen == {(16, 15), (8, 7)}


@pytest.mark.parametrize("wrong", [{"reduction": 3}, {"latent": 0}, {"reduction": 16}])
def test_a_latent_that_cannot_be_is_named(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"reduction|latent"):
        autoencoder_kl((1, 8, 8), laplace((1, 8, 8)), **wrong)
