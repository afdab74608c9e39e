"""What keeps a game stable: penalties on the critic's slope, and one on the generator's.

A penalty's term takes the judge (images -> logits (B,)), real and generated images (B, C, H, W), and
returns what is added to the critic's loss, (B,). Slopes are taken in full precision, whatever the
autocast around them, with respect to the images as the critic sees them.

Notation: B batch; D the judge, G the generator; g = grad of D(x) at an image x, |g| its norm over all values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from triptych import chance, ranks
from triptych.core import Batch
from triptych.devices import plainly
from triptych.errors import UsageError
from triptych.gan.augment import shifted
from triptych.gan.model import Generator
from triptych.ramps import Ramp, always

Judge = Callable[[Tensor], Tensor]
Term = Callable[[Judge, Tensor, Tensor], Tensor]


class Weighed(NamedTuple):
    """A term times its weight, taken at every `every`-th step and then `every` times as heavy.

    The mean over steps is that of a penalty at each step (Karras et al. 2020, arXiv:1912.04958, section 3.1).
    """

    term: Term
    weight: float
    every: int = 1
    ramp: Ramp = always

    def __call__(self, judge: Judge, real: Tensor, fake: Tensor, seen: int) -> Tensor:
        """What is added to the critic's losses, (B,), after so many images seen."""
        if seen // ranks.count(len(real)) % self.every:
            return real.new_zeros(len(real))
        with plainly(real.device):
            return self.weight * self.ramp(seen) * self.every * self.term(judge, real, fake)


Penalty = Annotated[Weighed, "penalty"]


def r1(gamma: float = 1.0, every: int = 1, ramp: Ramp = always) -> Weighed:
    """gamma / 2 |g|^2 at real images (Mescheder et al. 2018, arXiv:1801.04406, equation 9)."""
    return _weighed(lambda judge, real, fake: steepness(judge, real), gamma / 2, every, ramp)


def r2(gamma: float = 1.0, every: int = 1, ramp: Ramp = always) -> Weighed:
    """gamma / 2 |g|^2 at generated images (Mescheder et al. 2018, equation 10)."""
    return _weighed(lambda judge, real, fake: steepness(judge, fake), gamma / 2, every, ramp)


def r1_r2(gamma: float = 1.0, every: int = 1, ramp: Ramp = always) -> Weighed:
    """R1 and R2 together (Huang et al. 2024, arXiv:2501.05441, equation 3)."""
    return _weighed(_on_both, gamma / 2, every, ramp)


def gradient(weight: float = 10.0, every: int = 1, ramp: Ramp = always) -> Weighed:
    """weight (|g| - 1)^2 between real and generated images: WGAN-GP (Gulrajani et al. 2017, equation 3)."""
    return _weighed(lambda *players: (_slope_between(*players) - 1).square(), weight, every, ramp)


def lipschitz(weight: float = 10.0, every: int = 1, ramp: Ramp = always) -> Weighed:
    """weight max(0, |g| - 1)^2, one-sided: WGAN-LP (Petzka et al. 2018, arXiv:1709.08894, equation 8)."""
    return _weighed(lambda *players: relu(_slope_between(*players) - 1).square(), weight, every, ramp)


def dragan(weight: float = 10.0, spread: float = 0.5, every: int = 1, ramp: Ramp = always) -> Weighed:
    """weight (|g| - 1)^2 around real images (Kodali et al. 2017, arXiv:1705.07215, section 2.3).

    The surroundings are uniform noise of `spread` times the standard deviation of the batch's values.
    """

    def term(judge: Judge, real: Tensor, fake: Tensor) -> Tensor:
        around = real + spread * ranks.whole(real).std() * chance.uniform(real, *real.shape[1:])
        return (_root(steepness(judge, around)) - 1).square()

    return _weighed(term, weight, every, ramp)


def consistency(weight: float = 10.0, shift: float = 0.125, every: int = 1, ramp: Ramp = always) -> Weighed:
    """weight (D(x) - D(T(x)))^2, T a mirroring and a shift by up to a share of the sides.

    On real and on generated images: balanced consistency (Zhao et al. 2020, arXiv:2002.04724, equation 4).
    """

    def term(judge: Judge, real: Tensor, fake: Tensor) -> Tensor:
        return sum((judge(x) - judge(shifted(x, shift))).square() for x in (real, fake))  # type: ignore[return-value]

    return _weighed(term, weight, every, ramp)


def steepness(judge: Judge, x: Tensor) -> Tensor:
    """|g|^2 at images (B, C, H, W), (B,), which can itself be differentiated by the judge's weights."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(judge(x).sum(), x, create_graph=True)
    return slope.square().flatten(1).sum(1)


class PathLength(nn.Module):
    """weight (|J_w^T y| - a)^2, y noise on the image, J_w the painter's Jacobian at a style, a the running mean.

    Equal steps in style then change the image by equal amounts (Karras et al. 2020, equation 4). At every
    `every`-th step, on the batch's first 1 / `shrink`.
    """

    def __init__(self, weight: float = 2.0, every: int = 4, shrink: int = 2, forget: float = 0.01) -> None:
        super().__init__()
        if min(weight, every, shrink) <= 0 or not 0 < forget <= 1:
            raise UsageError("A path length penalty needs weight, every and shrink above 0 and forget in (0, 1].")
        self.weight, self.every, self.shrink, self.forget = weight, every, shrink, forget
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))

    def forward(self, model: Generator, batch: Batch, move: int) -> Tensor:
        """What is added to the generator's losses at its so-many-th move: one number, 0 between its turns."""
        count = ranks.count(len(batch.images))
        if move % self.every:
            return batch.images.new_zeros(())
        some = max(1, count // self.shrink)
        few = ranks.first(batch.images[:, 0, 0, 0], some)  # (b,)
        given = {key: ranks.first(value, some) for key, value in batch.given.items()}
        with plainly(few.device), torch.enable_grad(), ranks.divided(some, "path_length"):
            w = model.style(chance.noise(few, *model.latent_shape).requires_grad_(), given)
            x = model.paint(w)  # (b, C, H, W)
            noise = chance.noise(x) / (x.shape[2] * x.shape[3]) ** 0.5
            (slope,) = torch.autograd.grad((x * noise).sum(), w, create_graph=True)
            lengths = ranks.whole(_lengths(slope))  # of all `some` images
        mean = self.mean.lerp(lengths.detach().mean().double(), self.forget)
        if self.training:
            self.mean.copy_(mean)
        return self.weight * self.every * (lengths - mean.float()).square().mean()


def _lengths(slope: Tensor) -> Tensor:
    """The length of each image's slope, (b,): of styles (b, L, D) the root mean square over places."""
    return slope.square().sum(-1).flatten(1).mean(1).sqrt() if slope.ndim > 2 else slope.norm(dim=1)


def _weighed(term: Term, weight: float, every: int, ramp: Ramp) -> Weighed:
    if weight < 0 or every < 1:
        raise UsageError(f"A penalty has weight {weight} at every {every} steps: give 0 or more, at every 1 or more.")
    return Weighed(term, weight, every, ramp)


def _on_both(judge: Judge, real: Tensor, fake: Tensor) -> Tensor:
    return steepness(judge, real) + steepness(judge, fake)


def _slope_between(judge: Judge, real: Tensor, fake: Tensor) -> Tensor:
    """|g| at one random place on the line between each real and one generated image, (B,)."""
    place = chance.uniform(real, 1, 1, 1).to(real)
    between = real.lerp(fake, place)
    return _root(steepness(judge, between))


def _root(squares: Tensor) -> Tensor:
    """The square root, with a finite slope at 0 too."""
    return (squares + 1e-16).sqrt()
