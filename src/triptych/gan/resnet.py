"""Residual networks for small images: those of WGAN-GP and of SN-GAN, plain or conditional.

Gulrajani et al. 2017 (arXiv:1704.00028, table 3 and appendix F) and Miyato et al. 2018 (arXiv:1802.05957,
table 4) for 32x32; other sides take as many halvings as they allow. The generator's norms are conditional
on the class (de Vries et al. 2017), the critic projects it; self-attention is that of Zhang et al. 2019
(arXiv:1805.08318, equations 1 to 3).

Notation: B batch, C channels, F features, H W sides; x image, w style: the latent, and the class beside it.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from triptych.core import Shape
from triptych.gan.critic import Critic
from triptych.gan.model import Generator, check_latent
from triptych.labels import classes_of
from triptych.nets.conv import Side, ladder
from triptych.nets.resample import resized

Bounded = Literal["none", "spectral"]
Pooled = Literal["mean", "sum"]


def resnet(
    image_shape: Shape,
    classes: int,
    latent: int = 128,
    width: int = 128,
    core: int = 4,
    attention: int = 0,
    conditional: bool = False,
) -> Generator:
    """Blocks of `width` channels that double the sides, then tanh: (B, latent) -> (B, C, H, W) in [-1, 1].

    `attention` is the longer side in px after which self-attention follows, 0 for none. `conditional`
    asks for a class; raises a `UsageError` where the images have none.
    """
    classes = classes_of(conditional, classes)
    net = Painter(image_shape, check_latent(latent), classes, width, core, attention)
    return Generator(net, image_shape, latent, classes)


def resnet_critic(
    image_shape: Shape,
    classes: int,
    width: int = 128,
    core: int = 8,
    norm: Bounded = "none",
    pool: Pooled = "mean",
    attention: int = 0,
) -> Critic:
    """Blocks of `width` channels that halve the sides, two that keep them, a mean or sum over places: logits (B,).

    `norm` "spectral" divides each weight by its largest singular value (Miyato et al. 2018, equation 8),
    found by one step of power iteration a move; "none" is for a critic with a gradient penalty.
    """
    critic = Critic(Trunk(image_shape, width, core, attention, pool), width, classes)
    if norm == "spectral":
        for part in list(critic.modules()):
            if isinstance(part, nn.Conv2d | nn.Linear):
                spectral_norm(part)
    return critic


class Painter(nn.Module):
    """Styles (B, latent + classes) to images."""

    def __init__(self, image_shape: Shape, latent: int, classes: int, width: int, core: int, attention: int) -> None:
        super().__init__()
        sides = ladder(image_shape[1:], core)[::-1]
        self.latent, self.start = latent, sides[0]
        self.enter = dense(latent, width * sides[0][0] * sides[0][1])
        self.blocks = nn.ModuleList(UpBlock(width, side, classes) for side in sides[1:])
        self.attend = nn.ModuleList(attention_at(side, attention, width) for side in sides[1:])
        self.leave = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv(width, image_shape[0]), nn.Tanh())

    def forward(self, w: Tensor) -> Tensor:
        z, told = w[:, : self.latent], w[:, self.latent :]  # (B, latent), (B, classes)
        h = self.enter(z).unflatten(1, (-1, *self.start))  # (B, F, h, w)
        for block, attend in zip(self.blocks, self.attend, strict=True):
            h = attend(block(h, told))
        x: Tensor = self.leave(h)  # (B, C, H, W)
        return x

    def first(self) -> Tensor:
        """The weights (D', latent) through which a latent enters."""
        return self.enter.weight


class Trunk(nn.Module):
    """Images (B, C, H, W) to features (B, F)."""

    def __init__(self, image_shape: Shape, width: int, core: int, attention: int, pool: Pooled) -> None:
        super().__init__()
        sides = ladder(image_shape[1:], min(core, min(image_shape[1:]) // 2))[1:]
        blocks: list[nn.Module] = []
        for step, side in enumerate(sides):
            blocks.append(DownBlock(width if step else image_shape[0], width, side, first=not step))
            blocks.append(attention_at(side, attention, width))
        blocks += [DownBlock(width, width, None), DownBlock(width, width, None)]
        self.blocks = nn.Sequential(*blocks)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = F.relu(self.blocks(x))  # (B, F, h, w)
        return h.mean((2, 3)) if self.pool == "mean" else h.sum((2, 3))


class UpBlock(nn.Module):
    """A residual block that ends on `side`, normed by batch and told the class."""

    def __init__(self, width: int, side: Side, classes: int) -> None:
        super().__init__()
        self.side = side
        self.norm1, self.norm2 = ToldNorm(width, classes), ToldNorm(width, classes)
        self.conv1, self.conv2, self.skip = conv(width, width), conv(width, width), conv(width, width, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        h = self.conv1(resized(F.relu(self.norm1(x, told)), self.side))
        h = self.conv2(F.relu(self.norm2(h, told)))
        y: Tensor = h + self.skip(resized(x, self.side))
        return y


class DownBlock(nn.Module):
    """A residual block without norm that ends on `side`, or keeps the sides; the first begins with the image itself."""

    def __init__(self, inside: int, outside: int, side: Side | None, first: bool = False) -> None:
        super().__init__()
        self.side, self.first = side, first
        self.conv1, self.conv2 = conv(inside, outside), conv(outside, outside)
        keeps = side is None and inside == outside
        self.skip = nn.Identity() if keeps else conv(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        y: Tensor = self._smaller(h) + self.skip(self._smaller(x))
        return y

    def _smaller(self, h: Tensor) -> Tensor:
        return h if self.side is None else resized(h, self.side)


class ToldNorm(nn.Module):
    """Batch norm whose scale and offset are the class's own (de Vries et al. 2017); of no class: one of each."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=not classes)
        self.tell = nn.Linear(classes, 2 * width, bias=True) if classes else None
        if self.tell is not None:
            nn.init.zeros_(self.tell.weight)
            nn.init.zeros_(self.tell.bias)

    def forward(self, h: Tensor, told: Tensor) -> Tensor:
        y: Tensor = self.norm(h)
        if self.tell is None:
            return y
        scale, offset = self.tell(told)[:, :, None, None].chunk(2, 1)  # (B, F, 1, 1) each
        y = y * (1 + scale) + offset
        return y


class Attention(nn.Module):
    """h + gamma attention(h), gamma zero at first (Zhang et al. 2019, equations 2 and 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = max(1, width // 8)
        self.ask, self.key = conv(width, inner, 1), conv(width, inner, 1)
        self.value, self.leave = conv(width, width // 2 or 1, 1), conv(width // 2 or 1, width, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, h: Tensor) -> Tensor:
        rows = [layer(h).flatten(2).transpose(1, 2) for layer in (self.ask, self.key, self.value)]  # (B, T, .)
        shares = (rows[0] @ rows[1].transpose(1, 2)).softmax(-1)  # (B, T, T): twice differentiable everywhere
        answer = (shares @ rows[2]).transpose(1, 2).unflatten(2, h.shape[2:])
        y: Tensor = h + self.gamma * self.leave(answer)
        return y


def attention_at(side: Side, attention: int, width: int) -> nn.Module:
    """Self-attention where the longer side is `attention` px, else nothing."""
    return Attention(width) if max(side) == attention else nn.Identity()


def conv(inside: int, outside: int, kernel: int = 3) -> nn.Conv2d:
    """A convolution that keeps the sides, its weights from He et al. 2015 (equation 12)."""
    layer = nn.Conv2d(inside, outside, kernel, padding=kernel // 2)
    start(layer)
    return layer


def dense(inside: int, outside: int) -> nn.Linear:
    """A linear layer, its weights from He et al. 2015."""
    layer = nn.Linear(inside, outside)
    start(layer)
    return layer


def start(layer: nn.Conv2d | nn.Linear) -> None:
    """Weights from He et al. 2015 (equation 12), no offset."""
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
