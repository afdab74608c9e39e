"""Learning to denoise: the loss is the paper's, and it can be driven down."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from triptych import chance
from triptych.chance import Draw
from triptych.core import NOTHING, Batch, Given, Shape
from triptych.diffusion.levels import Drawn, Levels, importance
from triptych.diffusion.model import Diffusion
from triptych.diffusion.objective import Denoising
from triptych.diffusion.paths import linear
from triptych.diffusion.scaling import eps
from triptych.diffusion.weighting import min_snr
from triptych.errors import UsageError
from triptych.nets.unet import UNet


class Silent(nn.Module):
    """A network that answers with one number."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        return self.number.expand_as(x)


def model_of(net: Callable[..., nn.Module], shape: Shape, classes: int = 0) -> Diffusion:
    return Diffusion(net, linear(), eps, shape, classes, conditional=classes > 0, bound=1.0)


def silent(shape: Shape, classes: int = 0) -> Diffusion:
    return model_of(lambda **facts: Silent(), shape, classes)


def test_one_turn_moves_the_whole_model() -> None:
    model = model_of(partial(UNet, width=8), (1, 8, 8))
    (turn,) = Denoising().turns(model)
    assert turn.name == "denoise"
    assert {id(p) for p in turn.moves} == {id(p) for p in model.parameters()}
    with pytest.raises(UsageError, match="no Silent"):
        Denoising().turns(Silent())


def test_the_loss_is_the_noise_left_out() -> None:
    """A network that answers 0 has the mean square of the noise for a loss: equation 14 of the paper."""
    model = silent((3, 16, 16))
    (turn,) = Denoising().turns(model)
    x = torch.rand(8, 3, 16, 16) * 2 - 1
    chance.reseed(0, 0, turn.name)
    losses, stats = turn.loss(Batch(x), 0)
    chance.reseed(0, 0, turn.name)
    s = model.table[torch.randint(1000, (8,))]
    noise = torch.randn_like(x)
    torch.testing.assert_close(losses, noise.square().flatten(1).mean(1), rtol=1e-4, atol=0)
    torch.testing.assert_close(stats["clean"], (s.view(-1, 1, 1, 1) * noise).square().mean())
    assert losses.requires_grad
    assert not stats["clean"].requires_grad


def test_levels_are_drawn_evenly() -> None:
    model = silent((1, 1, 1))
    heard: list[Tensor] = []
    model.net.forward = lambda x, level, given: heard.append(level) or x  # type: ignore[method-assign,func-returns-value]
    (turn,) = Denoising().turns(model)
    chance.reseed(0)
    turn.loss(Batch(torch.zeros(20_000, 1, 1, 1)), 0)
    counts = torch.histc(heard[0], 10, 0, 1000)
    assert (counts - 2000).abs().max() < 5 * 2000**0.5


def test_one_batch_is_learnt_by_heart() -> None:
    """Two images: the loss falls, and samples are these images."""
    torch.manual_seed(0)
    model = model_of(partial(UNet, width=8, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0), (1, 8, 8))
    x = torch.where(torch.rand(2, 1, 8, 8) < 0.5, -0.8, 0.8)
    (turn,) = Denoising().turns(model)
    optimiser = torch.optim.Adam(turn.moves, 5e-3)
    first = last = 0.0
    for step in range(300):
        chance.reseed(0, step)
        loss = turn.loss(Batch(x.repeat(8, 1, 1, 1)), 0)[0].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        first = first or loss.item()
        last = 0.9 * last + 0.1 * loss.item()
    assert first > 0.8
    assert last < 0.2
    samples = model.eval().sample(Draw(range(16)), steps=30)
    away = torch.cdist(samples.flatten(1), x.flatten(1)) / 8  # root mean square
    assert away.min(1).values.median() < 0.3  # the two are 1.1 apart
    assert set(away.argmin(1).tolist()) == {0, 1}


def test_some_labels_are_hidden() -> None:
    model = silent((1, 1, 1), 3)
    heard: list[Tensor] = []
    model.net.forward = lambda x, level, given: heard.append(given["labels"]) or x  # type: ignore[method-assign,func-returns-value]
    batch = Batch(torch.zeros(10_000, 1, 1, 1), {"labels": torch.full((10_000,), 2)})
    for share in (0.0, 0.1, 1.0):
        (turn,) = Denoising(share).turns(model)
        chance.reseed(0)
        turn.loss(batch, 0)
        hidden = heard[-1] == -1
        assert hidden.float().mean().item() == pytest.approx(share, abs=0.015)
        assert (heard[-1][~hidden] == 2).all()
    with pytest.raises(UsageError, match="from 0 to 1"):
        Denoising(1.5)


def test_weights_and_pairs_are_used() -> None:
    """The loss is the weight of its level times the noise left out, of the noise that the image was paired with."""
    model, x = silent((1, 2, 2)), torch.zeros(6, 1, 2, 2)
    noise = torch.arange(24.0).view_as(x)
    (turn,) = Denoising(weighting=min_snr(5.0), pairing=lambda x: noise).turns(model)
    chance.reseed(0)
    losses, _ = turn.loss(Batch(x), 0)
    chance.reseed(0)
    s = model.table[torch.randint(1000, (6,))]
    torch.testing.assert_close(losses, noise.square().flatten(1).mean(1) * (5 * s * s).clamp(max=1), rtol=1e-4, atol=0)


def test_levels_hear_of_the_losses_in_training_alone() -> None:
    class Heard(Levels):
        def draw(self, count: int, table: Tensor) -> Drawn:
            return Drawn(table[:count], torch.full((count,), 3.0))

        def follow(self, s: Tensor, losses: Tensor, table: Tensor) -> None:
            heard.append(losses)

    heard: list[Tensor] = []
    model, batch = silent((1, 2, 2)), Batch(torch.zeros(6, 1, 2, 2))
    (turn,) = Denoising(levels=Heard()).turns(model)
    losses, _ = turn.loss(batch, 0)
    torch.testing.assert_close(losses, 3 * heard[0])  # before their factors
    model.eval()
    turn.loss(batch, 0)
    assert len(heard) == 1
    assert "levels.square" in Denoising(levels=importance()).state_dict()
