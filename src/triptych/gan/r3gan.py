"""R3GAN: a relativistic game with two slope penalties needs no tricks in its networks (Huang et al. 2024).

arXiv:2501.05441, section 4 and appendix: residual blocks of convolutions and leaky ReLUs without norm, as
many in the critic as in the generator, sides halved by the mean and doubled bilinearly, and first weights
after Zhang et al. 2019 (Fixup, arXiv:1901.09321): the last convolution of each block starts at zero.

Notation: B batch, C channels, F features, H W sides; x image, w style: the latent, and the class beside it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from triptych.core import Shape
from triptych.errors import UsageError
from triptych.gan.critic import Critic
from triptych.gan.model import Generator, check_latent
from triptych.labels import classes_of
from triptych.nets.conv import Side, growing, ladder, shrinking, width_at
from triptych.nets.resample import resized

SLOPE = 0.2  # of the leaky ReLU below zero
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # keeps the variance through one of them (He et al. 2015, equation 15)
MORE = 2  # inner channels of a bottleneck, as a multiple of its outer ones


def r3gan(
    image_shape: Shape,
    classes: int,
    latent: int = 64,
    width: int = 256,
    blocks: int = 2,
    groups: int = 0,
    wide: int = 32,
    core: int = 4,
    strided: bool = False,
    bounded: bool = False,
    conditional: bool = False,
) -> Generator:
    """Stages of `blocks` residual blocks, each at twice the sides: (B, latent) -> (B, C, H, W), about [-1, 1].

    `groups` 0: blocks of two plain 3x3 convolutions, fast everywhere; above: the paper's bottleneck, whose
    3x3 convolution is in so many groups (96 at width 768). Features are `width` where the longer side has
    at most `wide` px, and half as many at each doubling beyond. `strided`: the last step up is one transposed
    convolution, as in DCGAN, and no block works at the full sides: a third of the cost, for small images and
    short trainings. `bounded` ends with tanh, which the paper does not: black and white are then easy to
    reach, and a short training leaves no grey haze. `conditional` asks for a class; raises a `UsageError`
    where the images have none, and for values that make no network.
    """
    classes = classes_of(conditional, classes)
    net = Painter(
        image_shape, check_latent(latent) + classes, Size(width, blocks, groups, wide, core, strided), bounded
    )
    return Generator(net, image_shape, latent, classes)


def r3gan_critic(
    image_shape: Shape,
    classes: int,
    width: int = 256,
    blocks: int = 2,
    groups: int = 0,
    wide: int = 32,
    core: int = 4,
    strided: bool = False,
    features: int = 128,
) -> Critic:
    """The generator's stages upside down, to `features` and logits (B,); with classes a projection of them."""
    trunk = Trunk(image_shape, Size(width, blocks, groups, wide, core, strided), features)
    return Critic(trunk, features, classes)


class Size(NamedTuple):
    """How large a network is."""

    width: int
    blocks: int
    groups: int
    wide: int
    core: int
    strided: bool

    def sides(self, shape: Shape) -> list[Side]:
        """Where blocks work, the largest sides first."""
        return ladder(shape[1:], self.core)[self.strided :]

    def at(self, side: Side) -> int:
        """The features at these sides."""
        return width_at(side, self.width, self.wide)


class Painter(nn.Module):
    """Styles (B, D) to images (B, C, H, W)."""

    def __init__(self, image_shape: Shape, styles: int, size: Size, bounded: bool) -> None:
        super().__init__()
        sides = size.sides(image_shape)[::-1]
        widths = [size.at(side) for side in sides]
        self.basis = nn.Parameter(torch.randn(widths[0], *sides[0]))
        self.enter = dense(styles, widths[0], 1.0)
        self.stages = nn.ModuleList()
        for step, side in enumerate(sides):
            self.stages.append(Stage(widths[max(0, step - 1)], widths[step], side, size, len(sides)))
        self.leave: nn.Module = conv(widths[-1], image_shape[0], 1, 1.0)
        if size.strided:
            self.leave = initialised(growing(widths[-1], image_shape[0], sides[-1], image_shape[1:]), widths[-1] * 4)
        self.squash = nn.Tanh() if bounded else nn.Identity()

    def forward(self, w: Tensor) -> Tensor:
        h = self.basis * self.enter(w)[:, :, None, None]  # (B, F, h, w): a learned start, scaled by the style
        for stage in self.stages:
            h = stage(h)
        x: Tensor = self.squash(self.leave(h))  # (B, C, H, W)
        return x

    def first(self) -> Tensor:
        """The weights (F, D) through which a style enters."""
        return self.enter.weight


class Trunk(nn.Module):
    """Images (B, C, H, W) to features (B, features)."""

    def __init__(self, image_shape: Shape, size: Size, features: int) -> None:
        super().__init__()
        sides = size.sides(image_shape)
        widths = [size.at(side) for side in sides]
        self.enter: nn.Module = conv(image_shape[0], widths[0], 1, 1.0)
        if size.strided:
            self.enter = initialised(shrinking(image_shape[0], widths[0], image_shape[1:], sides[0]), 16)
        self.stages = nn.ModuleList()
        for step in range(len(sides)):
            after = min(step + 1, len(sides) - 1)
            self.stages.append(Stage(widths[step], widths[after], sides[after], size, len(sides), down=True))
        self.gather = nn.Conv2d(widths[-1], widths[-1], sides[-1], groups=widths[-1], bias=False)  # (B, F, 1, 1)
        nn.init.normal_(self.gather.weight, 0.0, 1 / math.sqrt(sides[-1][0] * sides[-1][1]))
        self.leave = dense(widths[-1], features, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        h = self.enter(x)
        for stage in self.stages:
            h = stage(h)
        y: Tensor = self.leave(self.gather(h).flatten(1))  # (B, features)
        return y


class Stage(nn.Module):
    """Residual blocks at one size and the way to the next: going up it comes first, going down last."""

    def __init__(self, inside: int, outside: int, side: Side, size: Size, stages: int, down: bool = False) -> None:
        super().__init__()
        self.side, self.down = side, down
        width, depth = inside if down else outside, size.blocks * stages  # residual branches that an image passes
        _check(width, size.blocks, size.groups)
        self.blocks = nn.Sequential(*(Block(width, size.groups, depth) for _ in range(size.blocks)))
        self.change = nn.Identity() if inside == outside else conv(inside, outside, 1, 1.0, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = self.change(resized(self.blocks(h), self.side)) if self.down else self.blocks(self._entered(h))
        return y

    def _entered(self, h: Tensor) -> Tensor:
        y: Tensor = resized(self.change(h), self.side, finer="bilinear")
        return y


class Block(nn.Module):
    """h + convolutions of h, no norm: two plain ones, or 1x1, grouped 3x3, 1x1 with twice the channels inside."""

    def __init__(self, width: int, groups: int, depth: int) -> None:
        super().__init__()
        inner = MORE * width if groups else width
        kernels = (1, 3, 1) if groups else (3, 3)
        gain = GAIN * depth ** (-1 / (2 * len(kernels) - 2))  # Fixup, for m = len(kernels) layers in a branch
        layers: list[nn.Module] = []
        for place, kernel in enumerate(kernels):
            last = place == len(kernels) - 1
            sizes = (inner if place else width, width if last else inner)
            share = groups if kernel == 3 and groups else 1
            layers.append(conv(*sizes, kernel, 0.0 if last else gain, groups=share, bias=not last))
            layers += [] if last else [nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers)

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = h + self.layers(leaky_relu(h, SLOPE))
        return y


def conv(inside: int, outside: int, kernel: int, gain: float, groups: int = 1, bias: bool = True) -> nn.Conv2d:
    """A convolution that keeps the sides, its weights N(0, gain^2 / fan in), offsets zero."""
    layer = nn.Conv2d(inside, outside, kernel, padding=kernel // 2, groups=groups, bias=bias)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(inside // groups * kernel**2))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def initialised(layer: nn.Conv2d | nn.ConvTranspose2d, fan_in: int) -> nn.Module:
    """Weights N(0, 1 / fan in), offsets zero."""
    nn.init.normal_(layer.weight, 0.0, fan_in**-0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def dense(inside: int, outside: int, gain: float) -> nn.Linear:
    """A linear layer, its weights N(0, gain^2 / fan in), no offset."""
    layer = nn.Linear(inside, outside, bias=False)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(inside))
    return layer


def _check(width: int, blocks: int, groups: int) -> None:
    if blocks < 1 or groups < 0 or (groups and MORE * width % groups):
        raise UsageError(
            f"No network has {blocks} blocks and {groups} groups at width {width}: give 1 block or more, "
            f"and groups that divide {MORE * width}, or 0 for plain convolutions."
        )
