"""Progressive growing: both players begin at a few pixels and learn finer ones later (Karras et al. 2018).

arXiv:1710.10196, section 2 and appendix A. Each network holds all its stages from the start; how many of
them are at work is its `level`, a function of the images seen.

While a stage fades in, with share a, critics are shown S(x) = (1 - a) up(down(x)) + a x of real and of
generated images alike. A generator in training returns x = f + (1 - a) up(c - down(f)) of its finest
image f and the one before, c. As down(up(c)) = c, S(x) = (1 - a) up(c) + a f, which is figure 2 of the paper.

Notation: B batch, C channels, F features, H W sides; x image; stage 0 is the core, a a share in (0, 1].
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from triptych.core import Critic as AnyCritic
from triptych.core import Model, Shape, Turn
from triptych.errors import UsageError
from triptych.gan.augment import Augment
from triptych.gan.critic import Critic
from triptych.gan.equalised import WIDE, Conv, Dense, Deviation, Leaky, PixelNorm
from triptych.gan.games import Game, Losses, wasserstein
from triptych.gan.model import Generator, check_latent
from triptych.gan.objective import Adversarial
from triptych.gan.penalties import Penalty
from triptych.nets.conv import Side, ladder, width_at
from triptych.nets.resample import resized

UNIT = 1024  # levels of a stage


def progressive(image_shape: Shape, latent: int = 512, width: int = 512, core: int = 4) -> Generator:
    """Stages of two convolutions, each at twice the sides: (B, latent) -> (B, C, H, W), about [-1, 1].

    Features are `width` up to 32 px and half as many at each doubling beyond. In training, images have the
    sides of the present stage; otherwise those of `image_shape`, by repeating pixels.
    """
    return Generator(Painter(image_shape, check_latent(latent), width, core), image_shape, latent, 0, Sphere())


def progressive_critic(image_shape: Shape, width: int = 512, core: int = 4) -> Critic:
    """The generator's stages upside down with minibatch deviation: (B, C, h, w) of any stage -> logits (B,)."""
    trunk = Trunk(image_shape, width, core)
    return Critic(trunk, trunk.features, layer=Dense)


class Grows(nn.Module):
    """A network of which the stages up to `level` work; `sides` are those of each stage, the core's first."""

    level: Tensor

    def __init__(self, sides: Sequence[Side]) -> None:
        super().__init__()
        self.sides = list(sides)
        # A whole number: the moving average of the weights copies it, where it would average a fraction.
        self.register_buffer("level", torch.tensor(UNIT * (len(self.sides) - 1)))

    def place(self) -> tuple[int, float]:
        """The stage at work, and the share in (0, 1] with which it has faded in."""
        stage, part = divmod(int(self.level), UNIT)
        return (stage + 1, part / UNIT) if part else (stage, 1.0)

    def reduced(self, x: Tensor) -> Tensor:
        """Images of the sides of any stage from the present one on, at those of the present one."""
        for step in range(self.sides.index((x.shape[2], x.shape[3])) - 1, self.place()[0] - 1, -1):
            x = coarser(x, self.sides[step])
        return x

    def shown(self, x: Tensor) -> Tensor:
        """S(x): images (B, C, H, W) at the present sides, blended while a stage fades in."""
        x, (stage, share) = self.reduced(x), self.place()
        return x if share == 1 else finer(coarser(x, self.sides[stage - 1]), self.sides[stage]).lerp(x, share)

    def enlarged(self, x: Tensor) -> Tensor:
        """Images of the present sides at the last ones, by repeating pixels: `reduced` undoes it."""
        for side in self.sides[self.place()[0] + 1 :]:
            x = finer(x, side)
        return x


class Painter(Grows):
    """Styles (B, D) to images."""

    def __init__(self, image_shape: Shape, latent: int, width: int, core: int) -> None:
        super().__init__(ladder(image_shape[1:], core)[::-1])
        widths = [width_at(side, width, WIDE) for side in self.sides]
        start = (widths[0], *self.sides[0])
        self.enter = Dense(latent, start[0] * start[1] * start[2])
        begin = (nn.Unflatten(1, start), Leaky(), PixelNorm())
        self.stages = nn.ModuleList([nn.Sequential(*begin, *_normed(widths[0], widths[0]))])
        for before, after in itertools.pairwise(widths):
            self.stages.append(nn.Sequential(*_normed(before, after), *_normed(after, after)))
        self.leave = nn.ModuleList(Conv(features, image_shape[0], 1) for features in widths)

    def forward(self, w: Tensor) -> Tensor:
        stage, share = self.place()
        before = h = self.stages[0](self.enter(w))
        for step in range(1, stage + 1):
            before, h = h, self.stages[step](resized(h, self.sides[step]))
        x: Tensor = self.leave[stage](h)
        if share < 1:
            smaller = self.sides[stage - 1]
            x = x + (1 - share) * finer(self.leave[stage - 1](before) - coarser(x, smaller), self.sides[stage])
        return x if self.training else self.enlarged(self.shown(x))

    def first(self) -> Tensor:
        """The weights (M, D) through which a style enters."""
        return self.enter.weight


class Trunk(Grows):
    """Images of the present sides, or of larger ones, to `features` (B, F)."""

    def __init__(self, image_shape: Shape, width: int, core: int) -> None:
        super().__init__(ladder(image_shape[1:], core)[::-1])
        widths = [width_at(side, width, WIDE) for side in self.sides]
        self.enter = nn.ModuleList(nn.Sequential(Conv(image_shape[0], features, 1), Leaky()) for features in widths)
        self.features = widths[0]
        last = (Conv(widths[0] + 1, widths[0]), Leaky(), nn.Flatten())
        gather = Dense(widths[0] * self.sides[0][0] * self.sides[0][1], widths[0])
        self.stages = nn.ModuleList([nn.Sequential(Deviation(), *last, gather, Leaky())])
        for after, before in itertools.pairwise(widths):
            self.stages.append(nn.Sequential(Conv(before, before), Leaky(), Conv(before, after), Leaky()))

    def forward(self, x: Tensor) -> Tensor:
        x, (stage, share) = self.reduced(x), self.place()
        h: Tensor = self.enter[stage](x)
        for step in range(stage, 0, -1):
            h = resized(self.stages[step](h), self.sides[step - 1])
            if step == stage and share < 1:
                h = self.enter[step - 1](coarser(x, self.sides[step - 1])).lerp(h, share)
        y: Tensor = self.stages[0](h)  # (B, F)
        return y


class Sphere(nn.Module):
    """Latents (B, D) as styles of root mean square 1 (appendix A.1)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = PixelNorm()

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        w: Tensor = self.norm(z)
        return w


class Growing(Adversarial):
    """The adversarial game while both networks grow.

    Each stage is held for `hold` images, then the next fades in over `fade` images. `drift` D(x)^2 of real
    images x keeps the critic's logits near zero (appendix A.1), where a game fixes only their differences.
    """

    def __init__(
        self,
        critic: AnyCritic,
        game: Game = wasserstein,
        penalty: Penalty | None = None,
        critic_steps: int = 1,
        augment: Augment | None = None,
        hold: int = 600_000,
        fade: int = 600_000,
        drift: float = 0.001,
    ) -> None:
        if hold < 0 or fade < 1 or drift < 0:
            raise UsageError(f"hold is {hold}, fade {fade}, drift {drift}: give 0 or more, 1 or more, 0 or more.")
        super().__init__(critic, drifting(game, drift), penalty, critic_steps, augment)
        self.hold, self.fade = hold, fade

    def turns(self, model: Model) -> Sequence[Turn]:
        """The critic's turn, then the generator's; a `UsageError` where the two do not grow through the same sides."""
        found = [[part.sides for part in net.modules() if isinstance(part, Grows)] for net in (model, self.critic)]
        if not found[0] or found[0] != found[1]:
            raise UsageError("Model and critic do not grow together: give both a kind that grows, and one core.")
        return super().turns(model)

    def begin(self, model: Model, seen: int) -> None:
        """Set the level of both networks to that of the images seen."""
        for part in (*model.modules(), *self.critic.modules()):
            if isinstance(part, Grows):
                part.level.fill_(level_after(seen, self.hold, self.fade, len(part.sides)))

    def seen_as(self, x: Tensor) -> Tensor:
        """Images of any stage's sides as the present stage has them, blended while it fades in, at the last sides.

        So slopes are always those of whole images. In pixels of the present sides they would halve where a stage
        begins, and a penalty that holds them at 1 would double the critic's logits.
        """
        trunk = self.critic.trunk
        shown: Tensor = trunk.enlarged(trunk.shown(x))  # type: ignore[operator, union-attr]
        return super().seen_as(shown)


def level_after(seen: int, hold: int, fade: int, stages: int) -> int:
    """The level after so many images: `UNIT` times the stage, and what the next has faded in.

    >>> [level_after(seen, 100, 200, 3) for seen in (0, 100, 200, 300, 400, 600, 9999)]
    [0, 0, 512, 1024, 1024, 2048, 2048]
    """
    stage, rest = divmod(seen, hold + fade)
    return min(UNIT * stage + UNIT * max(0, rest - hold) // fade, UNIT * (stages - 1))


def drifting(game: Game, weight: float) -> Game:
    """A game with `weight` D(x)^2 of real images added to the critic's losses."""

    def played(real: Tensor, fake: Tensor) -> Losses:
        critic, generator = game(real, fake)
        return critic + weight * real.square(), generator

    return played


def finer(x: Tensor, sides: Side) -> Tensor:
    """Images with each pixel repeated over its place at larger sides."""
    for dim, side in zip((2, 3), sides, strict=True):
        x = x.index_select(dim, _places(side, x.shape[dim], x.device))
    return x


def coarser(x: Tensor, sides: Side) -> Tensor:
    """Images at smaller sides, each pixel the mean over where `finer` would repeat it: coarser(finer(x)) = x."""
    for dim, side in zip((2, 3), sides, strict=True):
        places = _places(x.shape[dim], side, x.device)
        sums = x.new_zeros(*x.shape[:dim], side, *x.shape[dim + 1 :]).index_add(dim, places, x)
        counts = x.new_zeros(side).index_add(0, places, x.new_ones(len(places)))
        x = sums / counts.view(-1, *(1,) * (3 - dim))
    return x


def _places(many: int, few: int, device: torch.device) -> Tensor:
    """To which of `few` places each of `many` belongs, (many,)."""
    return torch.arange(many, device=device) * few // many


def _normed(inside: int, outside: int) -> tuple[nn.Module, ...]:
    return Conv(inside, outside), Leaky(), PixelNorm()
