"""StyleGAN2: a style scales the weights of each layer, and two slopes are kept in check.

Karras et al. 2020 (arXiv:1912.04958): modulated convolutions (section 2.2, equations 1 and 3), a
generator that sums images of all sizes and a residual critic (section 4.1). Styles come from a mapping
network and are mixed in training (Karras et al. 2019, arXiv:1812.04948, sections 2 and 3.1). Sides are
doubled bilinearly and halved by the mean.

Notation: B batch, C channels, F features, H W sides, L places a style enters, D its values; z latent,
w styles (B, L, D), x image. Stage 0 is the core; stage s is entered at places 2s - 1, 2s and 2s + 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych import chance
from triptych.core import Shape
from triptych.errors import UsageError
from triptych.gan.critic import Critic
from triptych.gan.equalised import TINY, WIDE, Conv, Dense, Deviation, Leaky, PixelNorm
from triptych.gan.model import Generator, check_latent
from triptych.labels import classes_of, told
from triptych.nets.conv import Side, ladder, width_at
from triptych.nets.resample import resized

SLOW = 0.01  # the mapping's share of the learning rate (Karras et al. 2019, appendix C)


def stylegan2(
    image_shape: Shape,
    classes: int,
    latent: int = 512,
    width: int = 512,
    depth: int = 8,
    mixing: float = 0.9,
    core: int = 4,
    conditional: bool = False,
) -> Generator:
    """A mapping of `depth` layers and a painter of modulated ones: (B, latent) -> (B, C, H, W), about [-1, 1].

    Features are `width` up to 32 px and half as many at each doubling beyond. `mixing` is the share of
    images with two styles in training. `conditional` asks for a class; raises a `UsageError` where the
    images have none, and for values that make no network.
    """
    if depth < 1 or not 0 <= mixing <= 1:
        raise UsageError(f"A mapping has depth {depth} and mixing {mixing}: give 1 or more, and a share from 0 to 1.")
    classes = classes_of(conditional, classes)
    net = Painter(image_shape, check_latent(latent), width, core)
    return Generator(net, image_shape, latent, classes, Mapping(latent, classes, depth, net.places, mixing))


def stylegan2_critic(image_shape: Shape, classes: int, width: int = 512, core: int = 4) -> Critic:
    """Residual halvings, minibatch deviation and two dense layers: (B, C, H, W) -> logits (B,)."""
    trunk = Trunk(image_shape, width, core)
    return Critic(trunk, trunk.features, classes, Dense)


class Mapping(nn.Module):
    """Latents (B, D), and labels (B,), to a style for each place, (B, L, D).

    In training, an image has with probability `mixing` a second style from a random place on.
    """

    def __init__(self, latent: int, classes: int, depth: int, places: int, mixing: float) -> None:
        super().__init__()
        self.classes, self.places, self.mixing = classes, places, mixing
        self.embed = Dense(classes, latent) if classes else None
        self.norm = PixelNorm()
        layers: list[nn.Module] = []
        for step in range(depth):
            inside = 2 * latent if classes and not step else latent
            layers += [Dense(inside, latent, rate=SLOW), Leaky()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        w = self._style(z, labels)[:, None].expand(-1, self.places, -1)  # (B, L, D)
        if not self.training:
            return w
        other = self._style(chance.noise(z), labels)[:, None]  # (B, 1, D)
        cut = chance.integers(z, 1, self.places, 1)
        mixed = chance.uniform(z, 1) < self.mixing
        second = mixed & (torch.arange(self.places, device=z.device) >= cut)  # (B, L)
        return torch.where(second[:, :, None], other, w)

    def _style(self, z: Tensor, labels: Tensor | None) -> Tensor:
        z = self.norm(z)
        if self.embed is not None and labels is not None:
            z = torch.cat([z, self.norm(self.embed(told(labels, self.classes).to(z.dtype)))], 1)
        w: Tensor = self.layers(z)  # (B, D)
        return w


class Painter(nn.Module):
    """Styles (B, L, D) to images (B, C, H, W); `places` is L."""

    def __init__(self, image_shape: Shape, styles: int, width: int, core: int) -> None:
        super().__init__()
        self.sides = ladder(image_shape[1:], core)[::-1]
        widths = [width_at(side, width, WIDE) for side in self.sides]
        self.places = 2 * len(self.sides)
        self.basis = nn.Parameter(torch.randn(widths[0], *self.sides[0]))
        self.first_layer = Styled(widths[0], widths[0], styles, self.sides[0])
        self.pairs = nn.ModuleList()
        for step, side in enumerate(self.sides[1:]):
            before, after = widths[step : step + 2]
            self.pairs.append(nn.ModuleList(Styled(inside, after, styles, side) for inside in (before, after)))
        self.leave = nn.ModuleList(Modulated(n, image_shape[0], 1, styles, normed=False) for n in widths)
        self.offsets = nn.Parameter(torch.zeros(image_shape[0], 1, 1))

    def forward(self, w: Tensor) -> Tensor:
        at = w.unbind(1)  # L of (B, D)
        h = self.first_layer(self.basis.expand(len(w), -1, -1, -1), at[0])
        x: Tensor = self.offsets + self.leave[0](h, at[1])
        for step, (pair, side) in enumerate(zip(self.pairs, self.sides[1:], strict=True)):
            h = pair[0](resized(h, side, finer="bilinear"), at[2 * step + 1])  # type: ignore[index]
            h = pair[1](h, at[2 * step + 2])  # type: ignore[index]
            x = resized(x, side, finer="bilinear") + self.leave[step + 1](h, at[2 * step + 3])
        return x

    def first(self) -> Tensor:
        """The weights (M, D) through which a style enters the convolutions of features, stacked."""
        return torch.cat([part.conv.affine.weight for part in self.modules() if isinstance(part, Styled)])


class Modulated(nn.Module):
    """A convolution whose weights W_oik are scaled by the style: W'_oik = s_i W_oik (equation 1).

    With `normed` they are then divided by the root of their sum of squares over i and k (equation 3).
    Both are done to what goes in and comes out instead, so that all images share one convolution.
    """

    def __init__(self, inside: int, outside: int, kernel: int, styles: int, normed: bool = True) -> None:
        super().__init__()
        self.affine = Dense(styles, inside, offset=1.0)
        self.weight = nn.Parameter(torch.randn(outside, inside, kernel, kernel))
        self.scale = 1 / math.sqrt(inside * kernel**2)
        self.normed = normed

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        s, weight = self.affine(w), self.weight * self.scale  # (B, I), (O, I, k, k)
        y = F.conv2d(h * s[:, :, None, None], weight, padding=weight.shape[-1] // 2)
        if self.normed:
            sums = s.square() @ weight.square().sum((2, 3)).T  # (B, O)
            y = y * (sums + TINY).rsqrt()[:, :, None, None]
        return y


class Styled(nn.Module):
    """A modulated convolution, noise for each pixel, offsets, a leaky ReLU; one fixed noise outside training."""

    def __init__(self, inside: int, outside: int, styles: int, side: Side) -> None:
        super().__init__()
        self.conv = Modulated(inside, outside, 3, styles)
        self.strength = nn.Parameter(torch.zeros(()))
        self.offsets = nn.Parameter(torch.zeros(outside, 1, 1))
        self.activation = Leaky()
        self.noise: Tensor
        self.register_buffer("noise", torch.randn(1, 1, *side))

    def forward(self, h: Tensor, w: Tensor) -> Tensor:
        noise = chance.noise(h[:, :1]) if self.training else self.noise
        y: Tensor = self.activation(self.conv(h, w) + self.strength * noise + self.offsets)
        return y


class Trunk(nn.Module):
    """Images (B, C, H, W) to `features` (B, F)."""

    def __init__(self, image_shape: Shape, width: int, core: int) -> None:
        super().__init__()
        sides = ladder(image_shape[1:], core)
        widths = [width_at(side, width, WIDE) for side in sides]
        self.enter = nn.Sequential(Conv(image_shape[0], widths[0], 1), Leaky())
        self.blocks = nn.Sequential(
            *(Block(widths[step], widths[step + 1], side) for step, side in enumerate(sides[1:]))
        )
        self.features = widths[-1]
        self.leave = nn.Sequential(
            Deviation(),
            Conv(self.features + 1, self.features),
            Leaky(),
            nn.Flatten(),
            Dense(self.features * sides[-1][0] * sides[-1][1], self.features),
            Leaky(),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.leave(self.blocks(self.enter(x)))  # (B, F)
        return y


class Block(nn.Module):
    """Two convolutions beside one of 1x1, ended on `side`; the sum over sqrt(2) keeps the variance."""

    def __init__(self, inside: int, outside: int, side: Side) -> None:
        super().__init__()
        self.side = side
        self.conv1, self.conv2 = Conv(inside, inside), Conv(inside, outside)
        self.skip = Conv(inside, outside, 1, bias=False)
        self.activation = Leaky()

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = resized(self.activation(self.conv1(h)), self.side)
        y = (self.activation(self.conv2(y)) + self.skip(resized(h, self.side))) / math.sqrt(2)
        return y
