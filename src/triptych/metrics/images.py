"""How near a reconstruction comes to its image, pixel for pixel: PSNR and SSIM.

Both take two uint8 batches (B, C, H, W) as they lie in files, alpha counted as a channel, and answer
for each image (B,) in float64. Both raise a `DataError` for batches of different shape.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from triptych.errors import DataError

PEAK = 255.0
WINDOW, SIGMA = 11, 1.5  # pixels
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """10 log10(255^2 / mean squared error) in dB; infinite for equal images."""
    a, b = _pair(a, b)
    return 10 * (PEAK**2 / (a - b).square().mean((1, 2, 3))).log10()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004, equation 13), at most 1; the mean over channels and places.

    The window is Gaussian, 11 pixels wide with a deviation of 1.5, and stays inside the image; where a
    side is shorter than that, the window is the largest odd one that fits.
    """
    a, b = _pair(a, b)
    mean_a, mean_b, aa, bb, ab = (_blurred(x) for x in (a, b, a * a, b * b, a * b))
    both = mean_a * mean_b
    light = (2 * both + C1) / (mean_a**2 + mean_b**2 + C1)
    shape = (2 * (ab - both) + C2) / (aa - mean_a**2 + bb - mean_b**2 + C2)
    return (light * shape).mean((1, 2, 3))


def _blurred(x: Tensor) -> Tensor:
    """Weighted means under each place of the window that fits into (B, C, H, W)."""
    side = min(WINDOW, *x.shape[2:])
    side -= 1 - side % 2
    places = torch.arange(side, dtype=x.dtype, device=x.device) - side // 2
    weights = (-0.5 * (places / SIGMA) ** 2).exp()
    weights = (weights / weights.sum()).view(1, 1, -1, 1)
    planes = x.flatten(0, 1)[:, None]
    return conv2d(conv2d(planes, weights), weights.mT).view(*x.shape[:2], x.shape[2] - side + 1, -1)


def _pair(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    if a.shape != b.shape:
        raise DataError(f"Images of shape {tuple(a.shape)} against {tuple(b.shape)}: compare equal shapes.")
    return a.double(), b.double()
