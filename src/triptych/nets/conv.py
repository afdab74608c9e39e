"""Convolutional ladders: a trunk that halves an image down to a small core, and one that doubles it back.

Each side of the image follows its own length: it is halved while it is at least twice `core` long and
stands still after that, so any (H, W) ends on a core of `core` to 2 `core` - 1 px a side, square or not.
An odd side n is halved to floor(n / 2); its last row is seen on the way down and made on the way up,
for the way up is the exact transpose of the way down.

Notation: B batch, C channels, H W image sides, h w core sides, F features.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from triptych.core import Shape
from triptych.errors import UsageError

Side = tuple[int, int]  # height, width
WIDEST = 8  # the channels stop doubling at 8 x width (Radford et al. 2015, figure 1)


def ladder(sides: Side, core: int = 4) -> list[Side]:
    """The sides after each step from the image down to the core, the image's first.

    >>> ladder((13, 37))
    [(13, 37), (6, 18), (6, 9), (6, 4)]
    """
    if core < 1 or min(sides) < 2 * core:
        raise UsageError(
            f"Images of {sides[0]}x{sides[1]} px cannot be halved to a core of {core} px: "
            f"both sides must be at least {2 * max(core, 1)} px; resize the images or lower `core`."
        )
    steps = [sides]
    while max(steps[-1]) >= 2 * core:
        height, width = (n // 2 if n >= 2 * core else n for n in steps[-1])
        steps.append((height, width))
    return steps


def width_at(side: Side, width: int, wide: int) -> int:
    """The features at these sides: `width` up to `wide` px of the longer one, half as many at each doubling beyond."""
    if width < 1:
        raise UsageError(f"The width of a convolutional network is {width}; give 1 or more.")
    return max(1, width * wide // max(wide, *side))


def _channels(first: int, width: int, steps: int) -> list[int]:
    """Channels beside each of `steps` sides: the image's, then width, 2 width, 4 width..."""
    if width < 1:
        raise UsageError(f"The width of a convolutional network is {width}; give 1 or more.")
    return [first, *(width * min(2**step, WIDEST) for step in range(steps - 1))]


def _geometry(larger: Side, smaller: Side) -> tuple[Side, Side, Side]:
    """Kernel, stride and what is left over of the step between two sides; the padding is 1."""
    stride = (larger[0] // smaller[0], larger[1] // smaller[1])
    kernel = (stride[0] + 2, stride[1] + 2)
    rest = (larger[0] - stride[0] * smaller[0], larger[1] - stride[1] * smaller[1])
    return kernel, stride, rest


def shrinking(inside: int, outside: int, larger: Side, smaller: Side, bias: bool = True) -> nn.Conv2d:
    """The strided convolution from one pair of sides to the next, its kernel two wider than its stride."""
    kernel, stride, _ = _geometry(larger, smaller)
    return nn.Conv2d(inside, outside, kernel, stride, 1, bias=bias)


def growing(inside: int, outside: int, smaller: Side, larger: Side, bias: bool = True) -> nn.ConvTranspose2d:
    """The way back: the transpose of `shrinking`."""
    kernel, stride, rest = _geometry(larger, smaller)
    return nn.ConvTranspose2d(inside, outside, kernel, stride, 1, rest, bias=bias)


def leaky() -> nn.Module:
    """LeakyReLU with slope 0.2, the usual choice on the way down (Radford et al. 2015, section 3)."""
    return nn.LeakyReLU(0.2)


class ConvEncoder(nn.Module):
    """Images (B, C, H, W) to features (B, F), by one strided convolution a step.

    `features` is F. With `norm`, batch norm follows every convolution but the first.
    """

    def __init__(
        self,
        image_shape: Shape,
        width: int = 64,
        norm: bool = True,
        activation: Callable[[], nn.Module] = leaky,
        core: int = 4,
    ) -> None:
        super().__init__()
        sides = ladder(image_shape[1:], core)
        channels = _channels(image_shape[0], width, len(sides))
        layers: list[nn.Module] = []
        for step in range(1, len(sides)):
            normed = norm and step > 1
            layers.append(shrinking(channels[step - 1], channels[step], sides[step - 1], sides[step], not normed))
            layers += [nn.BatchNorm2d(channels[step])] if normed else []
            layers.append(activation())
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.features = channels[-1] * sides[-1][0] * sides[-1][1]

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)  # (B, C, H, W) -> (B, F)
        return y


class ConvDecoder(nn.Module):
    """Vectors (B, latent) to images (B, C, H, W), by one transposed convolution a step.

    The output has no bounds: the caller adds the last non-linearity. With `norm`, batch norm
    follows the projection and every convolution but the last.
    """

    def __init__(
        self,
        latent: int,
        image_shape: Shape,
        width: int = 64,
        norm: bool = True,
        activation: Callable[[], nn.Module] = nn.ReLU,
        core: int = 4,
    ) -> None:
        super().__init__()
        sides = ladder(image_shape[1:], core)
        channels = _channels(image_shape[0], width, len(sides))
        inner = (channels[-1], *sides[-1])
        self.project = nn.Sequential(
            nn.Linear(latent, inner[0] * inner[1] * inner[2], bias=not norm), nn.Unflatten(1, inner)
        )
        layers: list[nn.Module] = []
        for step in range(len(sides) - 1, 0, -1):
            layers += [nn.BatchNorm2d(channels[step])] if norm else []
            bias = step == 1 or not norm
            layers.append(activation())
            layers.append(growing(channels[step], channels[step - 1], sides[step], sides[step - 1], bias))
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        y: Tensor = self.project(z)  # (B, latent) -> (B, F/hw, h, w)
        y = self.layers(y)  # (B, C, H, W)
        return y
