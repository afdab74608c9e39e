"""Images to a grid of features and back: a ladder of strided convolutions with residual blocks at its core.

The blocks are those of van den Oord et al. 2017 (arXiv:1711.00937, section 4.1): activation, 3x3, activation, 1x1.

Notation: B batch, C channels, H W image sides, h w grid sides, F features of a place.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from triptych.core import Shape
from triptych.errors import UsageError
from triptych.nets.conv import Side, growing, ladder, shrinking, width_at
from triptych.nets.dropout import Dropout


def grid_of(image_shape: Shape, core: int) -> list[Side]:
    """The sides from the image down to a grid of `core` to 2 `core` - 1 px, and to at most half of the shorter side.

    >>> grid_of((3, 32, 48), 8)
    [(32, 48), (16, 24), (8, 12)]
    >>> grid_of((1, 8, 8), 8)
    [(8, 8), (4, 4)]
    """
    return ladder(image_shape[1:], min(core, min(image_shape[1:]) // 2))


class Residual(nn.Module):
    """h + two convolutions of h, (B, F, h, w)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), Dropout(dropout), nn.Conv2d(width, width, 1)
        )

    def forward(self, h: Tensor) -> Tensor:
        y: Tensor = h + self.layers(h)
        return y


class GridEncoder(nn.Sequential):
    """Images (B, C, H, W) to features (B, F, h, w) on the last of `sides`.

    There are `width` channels at the grid and half as many at each doubling of the sides, then `blocks` blocks.
    """

    def __init__(
        self, channels: int, sides: Sequence[Side], features: int, width: int, blocks: int, dropout: float = 0.0
    ) -> None:
        widths = _widths(sides, width, blocks)
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1)]
        for step in range(1, len(sides)):
            layers += [nn.SiLU(), shrinking(widths[step - 1], widths[step], sides[step - 1], sides[step])]
        layers += [Residual(width, dropout) for _ in range(blocks)]
        super().__init__(*layers, nn.SiLU(), nn.Conv2d(width, features, 1))


class GridDecoder(nn.Sequential):
    """Features (B, F, h, w) to images (B, C, H, W) without bounds: the encoder's ladder upwards."""

    def __init__(
        self, channels: int, sides: Sequence[Side], features: int, width: int, blocks: int, dropout: float = 0.0
    ) -> None:
        widths = _widths(sides, width, blocks)
        layers: list[nn.Module] = [nn.Conv2d(features, width, 3, padding=1)]
        layers += [Residual(width, dropout) for _ in range(blocks)]
        for step in range(len(sides) - 1, 0, -1):
            layers += [nn.SiLU(), growing(widths[step], widths[step - 1], sides[step], sides[step - 1])]
        super().__init__(*layers, nn.SiLU(), nn.Conv2d(widths[0], channels, 3, padding=1))


def _widths(sides: Sequence[Side], width: int, blocks: int) -> list[int]:
    """The channels at each of the sides; the last are `width`."""
    if blocks < 0:
        raise UsageError(f"blocks is {blocks}; give 0 or more.")
    return [width_at(side, width, max(sides[-1])) for side in sides]
