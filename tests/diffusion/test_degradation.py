"""What is left of images, and models that are shown it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from triptych import chance
from triptych.chance import Draw
from triptych.core import NOTHING, Batch, Degradation, Given, abilities
from triptych.diffusion.degradation import coarse, grey, greying, upscaling
from triptych.diffusion.levels import Drawn, Levels
from triptych.diffusion.model import Diffusion
from triptych.diffusion.objective import Denoising
from triptych.diffusion.paths import linear
from triptych.diffusion.scaling import eps, x0
from triptych.errors import UsageError
from triptych.nets.mlp import ResidualMlp
from triptych.pixels import to_float

PAIRS = upscaling(2)
SIZES = [(1, 8, 8), (2, 13, 37), (3, 9, 8), (4, 5, 3)]


def images(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_squares_become_their_means() -> None:
    """Of 3 x 5 pixels by twos: the last row and column of squares have fewer pixels."""
    x = torch.arange(15, dtype=torch.float64).view(1, 1, 3, 5)
    expected = [[3.0, 3, 5, 5, 6.5], [3, 3, 5, 5, 6.5], [10.5, 10.5, 12.5, 12.5, 14]]
    assert torch.equal(coarse(x, 2)[0, 0], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize(
    "degradation", [upscaling(2), upscaling(4), upscaling(7), greying()], ids=["2", "4", "7", "grey"]
)
def test_they_are_projections(shape: tuple[int, int, int], degradation: Degradation) -> None:
    x = images(2, *shape)
    left = degradation.of(x)
    assert left.shape == x.shape
    torch.testing.assert_close(degradation.of(left), left, rtol=0, atol=1e-14)
    assert left.abs().max() <= 1 + 1e-14


def test_colours_become_luma() -> None:
    """Pure red, green and blue of uint8 images have the lumas of BT.601; alpha and greys stay."""
    pure = to_float(torch.eye(3, dtype=torch.uint8).view(3, 3, 1, 1) * 255).double()
    luma = (grey(pure) + 1) / 2
    expected = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(3, 1, 1, 1).expand(3, 3, 1, 1)
    torch.testing.assert_close(luma, expected, rtol=0, atol=1e-12)
    for channels in (1, 2):
        assert grey(images(1, channels, 2, 2)).equal(images(1, channels, 2, 2))
    clear = images(1, 4, 2, 2)
    assert grey(clear)[:, 3].equal(clear[:, 3])


def test_greying_knows_premultiplied_colour() -> None:
    """Grey of what shows of a colour is what shows of its grey."""
    images = torch.tensor([200, 100, 50, 128], dtype=torch.uint8).view(1, 4, 1, 1)
    straight = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert grey(to_float(images))[0, 0].item() == pytest.approx(straight * 128 / 255 / 127.5 - 1, abs=1e-6)


class Linear(nn.Module):
    """All that it sees, in one linear layer: noisy values, then those of the image shown."""

    def __init__(self, values: int) -> None:
        super().__init__()
        self.layer = nn.Linear(2 * values, values, bias=False)
        nn.init.zeros_(self.layer.weight)
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor, level: Tensor, given: Given = NOTHING) -> Tensor:
        self.shown.append(given.get("image", torch.zeros_like(x)))
        answer: Tensor = self.layer(torch.cat([x, self.shown[-1]], 1).flatten(1))
        return answer.view_as(x)


class Half(Levels):
    """Always s = 0.5."""

    def draw(self, count: int, table: Tensor) -> Drawn:
        return Drawn(torch.full((count,), 0.5), torch.ones(count))


def shown_to(net: Linear, degradation: Degradation | None = PAIRS) -> Diffusion:
    return Diffusion(lambda **facts: net, linear(), x0, (1, 1, 2), bound=None, degradation=degradation)


def test_it_learns_what_fits_the_image_shown() -> None:
    """Pairs with variance 1 and correlation 0.8, shown their mean m.

    With d = (x1 - x2) / 2 ~ N(0, 0.1) and noise of variance s^2 / 2 on it, the estimate of x1 given y and m is
    m + 0.1 / (0.1 + s^2 / 2) (y1 - y2) / 2; weights within 0.02 of that.
    """
    net = Linear(2)
    (turn,) = Denoising(image_dropout=0, levels=Half()).turns(shown_to(net))
    adam, mix = torch.optim.Adam(net.parameters(), 0.02), torch.linalg.cholesky(torch.tensor([[1, 0.8], [0.8, 1]]))
    chance.reseed(0, "test")
    for _ in range(500):
        losses, _ = turn.loss(Batch((torch.randn(500, 2) @ mix.T).view(500, 1, 1, 2)), 0)
        adam.zero_grad()
        losses.mean().backward()  # type: ignore[no-untyped-call]
        adam.step()
    share, scale = 0.1 / (0.1 + 0.125) / 2, math.sqrt(1 + 0.25)
    first = net.layer.weight[0]  # of y1 and y2, each over `scale`, and of m, which is shown twice
    torch.testing.assert_close(first[:2] / scale, torch.tensor([share, -share]), rtol=0, atol=0.02)
    assert first[2:].sum().item() == pytest.approx(1, abs=0.02)


def test_a_share_of_images_is_hidden() -> None:
    """Of 4000 images 0.3, within five standard deviations; the others are shown as they are left."""
    net, x = Linear(2), images(4000, 1, 1, 2).float()
    (turn,) = Denoising(image_dropout=0.3).turns(shown_to(net))
    turn.loss(Batch(x), 0)
    hidden = (net.shown[-1] == 0).flatten(1).all(1)
    assert hidden.float().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 4000))
    assert torch.equal(net.shown[-1][~hidden], coarse(x, 2)[~hidden])


def test_models_that_are_shown_nothing_draw_nothing_for_it() -> None:
    def loss(degradation: Degradation | None) -> Tensor:
        chance.reseed(0, "test")
        (turn,) = Denoising().turns(shown_to(Linear(2), degradation))
        return turn.loss(Batch(images(8, 1, 1, 2).float()), 0)[0]

    assert torch.equal(loss(None), loss(PAIRS))  # the network answers 0 to both: noise and levels are the same
    with pytest.raises(UsageError, match="image_dropout"):
        Denoising(image_dropout=1.5)


def test_samples_follow_the_image_shown() -> None:
    net = Linear(2)
    nn.init.normal_(net.layer.weight, generator=torch.Generator().manual_seed(0))
    model, shown = shown_to(net), images(3, 1, 1, 2).float()
    assert model.reads == {"image"}
    assert abilities(model) == ("sample", "encode", "score", "edit", "upscale")
    assert shown_to(Linear(2), None).reads == set()
    told = model.sample(Draw(range(3)), {"image": shown}, steps=4)
    assert all(torch.equal(seen, shown) for seen in net.shown)
    untold = model.sample(Draw(range(3)), steps=4)
    assert torch.equal(untold, model.sample(Draw(range(3)), {"image": torch.zeros_like(shown)}, steps=4))
    assert not torch.equal(told, untold)
    with pytest.raises(UsageError, match="give one of"):
        model.sample(Draw(range(2)), {"image": shown})


def test_what_cannot_be() -> None:
    with pytest.raises(UsageError, match="2 or more"):
        upscaling(1)
    with pytest.raises(UsageError, match="shown no images"):
        Diffusion(ResidualMlp, linear(), eps, (1, 4, 4), degradation=greying())
