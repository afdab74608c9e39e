"""PatchGAN: a critic that judges every patch of an image by itself (Isola et al. 2017, arXiv:1611.07004).

Section 3.2.2: what is wrong in the large shows in the error of the pixels; the critic is for the texture.

Notation: B batch, C channels, H W image sides, h w places, F features; x image in [-1, 1].
"""

from __future__ import annotations

from torch import Tensor, nn

from triptych.core import NOTHING, Given, Shape
from triptych.errors import UsageError
from triptych.gan.dcgan import initialise

WIDEST = 8  # the channels stop doubling at 8 x width (appendix 6.1.2)
LEAST = 3  # px of the shorter side that the last two convolutions need


class PatchCritic(nn.Module):
    """Images (B, C, H, W) to logits (B,): the mean of one logit for each patch.

    `trunk` gives features (B, F, h, w), `head` the logits of the patches that overlap.
    """

    def __init__(self, trunk: nn.Module, features: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Conv2d(features, 1, 4, padding=1)

    def features(self, x: Tensor) -> Tensor:
        """What the critic sees in images (B, C, H, W), the mean over their places, (B, F)."""
        y: Tensor = self.trunk(x).mean((2, 3))
        return y

    def patches(self, x: Tensor) -> Tensor:
        """The logit of each patch, (B, h, w)."""
        logits: Tensor = self.head(self.trunk(x))[:, 0]
        return logits

    def forward(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        return self.patches(x).mean((1, 2))


def patch_critic(image_shape: Shape, width: int = 64, halvings: int = 3, norm: bool = True) -> PatchCritic:
    """Convolutions of 4 px with LeakyReLU 0.2 and, with `norm`, batch norm but on the first.

    `halvings` of them have a stride of 2, then two have none: a patch has 16, 34, 70 px a side with 1, 2, 3
    halvings. Small images are halved less often. Raises a `UsageError` for images of less than 3 px a side.
    """
    if width < 1 or halvings < 0 or min(image_shape[1:]) < LEAST:
        raise UsageError(
            f"No patch critic has width {width}, halvings {halvings}, images of {image_shape[1]}x{image_shape[2]} px: "
            f"give a width of 1 or more, halvings of 0 or more, sides of {LEAST} px or more."
        )
    side, strides = min(image_shape[1:]), [1]
    while len(strides) <= halvings and side // 2 >= LEAST:
        side, strides = side // 2, [2, *strides]
    layers: list[nn.Module] = []
    inner = image_shape[0]
    for step, stride in enumerate(strides):
        outer = width * min(2**step, WIDEST)
        normed = norm and step > 0
        layers.append(nn.Conv2d(inner, outer, 4, stride, 1, bias=not normed))
        layers += [nn.BatchNorm2d(outer)] if normed else []
        layers.append(nn.LeakyReLU(0.2))
        inner = outer
    return PatchCritic(nn.Sequential(*layers), inner).apply(initialise)
