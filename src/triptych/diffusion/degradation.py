"""What is left of an image, where a model is taught to make the rest of it.

Each is a projection: what is left of what is left is the same again, and has the image's shape. So it can be shown to a
network beside the noisy image, looked at, and held against what is left of the image that was made.

Notation: x images (B, C, H, W) in [-1, 1], with 2 or 4 channels premultiplied by the last, alpha.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from triptych.core import Degradation
from triptych.errors import UsageError

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (Recommendation ITU-R BT.601, section 2.5.1)


def upscaling(factor: int = 4) -> Degradation:
    """Means of squares of `factor` pixels a side, as the upscaling of Saharia et al. (2021, arXiv:2104.07636) is shown.

    Where a side is no multiple of it, the last squares are smaller.
    """
    if factor < 2:
        raise UsageError(f"degradation.factor is {factor}: give 2 or more pixels a side.")
    return Degradation("upscale", partial(coarse, factor=factor), factor)


def greying() -> Degradation:
    """Luma in each colour, alpha as it is: the colourisation of Saharia et al. (2022, arXiv:2111.05826)."""
    return Degradation("colorize", grey)


def coarse(x: Tensor, factor: int) -> Tensor:
    """The mean of each square of pixels, in all of its places."""
    means = avg_pool2d(x, factor, ceil_mode=True)  # (B, C, H / factor, W / factor), rounded up
    return means.repeat_interleave(factor, 2).repeat_interleave(factor, 3)[:, :, : x.shape[2], : x.shape[3]]


def grey(x: Tensor) -> Tensor:
    """Red, green and blue replaced by their luma; of images without colours these themselves."""
    if x.shape[1] < 3:
        return x
    luma = torch.einsum("bchw,c->bhw", x[:, :3], x.new_tensor(LUMA))[:, None]  # (B, 1, H, W)
    return torch.cat([luma.expand(-1, 3, -1, -1), x[:, 3:]], 1)
