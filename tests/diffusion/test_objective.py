"""Learning to denoise: the loss is the paper's, and it can be driven down."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from triptych import chance
from triptych.chance import Draw
from triptych.core import NOTHING, Batch, Given
from triptych.diffusion.levels import linear
from triptych.diffusion.model import Diffusion, ddpm
from triptych.diffusion.objective import Denoising
from triptych.errors import UsageError


class Silent(nn.Module):
    """A network that answers with one number."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        return self.number.expand_as(x)


def test_one_turn_moves_the_whole_model() -> None:
    model = ddpm((1, 8, 8), 0, width=8)
    (turn,) = Denoising().turns(model)
    assert turn.name == "denoise"
    assert {id(p) for p in turn.moves} == {id(p) for p in model.parameters()}
    with pytest.raises(UsageError, match="no Silent"):
        Denoising().turns(Silent())


def test_the_loss_is_the_noise_left_out() -> None:
    """A network that answers 0 has the mean square of the noise for a loss: equation 14 of the paper."""
    model = Diffusion(Silent(), (3, 16, 16), 0, linear())
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
    model = Diffusion(Silent(), (1, 1, 1), 0, linear())
    heard: list[Tensor] = []
    model.net.forward = lambda x, level, given: heard.append(level) or x  # type: ignore[method-assign,func-returns-value]
    (turn,) = Denoising().turns(model)
    chance.reseed(0)
    turn.loss(Batch(torch.zeros(20_000, 1, 1, 1)), 0)
    counts = torch.histc(heard[0], 10, 0, 1000)
    assert (counts - 2000).abs().max() < 5 * 2000**0.5


def test_one_batch_is_learnt_by_heart() -> None:
    """Two images: the loss falls, and samples are these images (truths D4)."""
    torch.manual_seed(0)
    model = ddpm((1, 8, 8), 0, width=8, multipliers=(1, 2), blocks=1, attention=(), dropout=0.0)
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
    model = Diffusion(Silent(), (1, 1, 1), 3, linear())
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
