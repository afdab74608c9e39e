"""PSNR and SSIM in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from triptych.errors import DataError
from triptych.metrics.images import psnr, ssim


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.mark.parametrize("offset", [1, 51, 255])
def test_psnr_of_an_offset(offset: int) -> None:
    """-20 log10 c for an offset of c of the whole range."""
    a = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    assert psnr(a, a + offset).tolist() == pytest.approx([-20 * math.log10(offset / 255)] * 2)


def test_psnr_of_equal_images_is_infinite() -> None:
    a = noise(2, 1, 8, 8)
    assert psnr(a, a).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize("side", [1, 2, 7, 8, 11, 32])
def test_ssim_of_equal_images_is_one(side: int) -> None:
    a = noise(3, 4, side, side + 3)
    assert ssim(a, a).tolist() == pytest.approx([1, 1, 1])


def test_ssim_of_constants() -> None:
    """(2 a b + C1) / (a^2 + b^2 + C1), for it has no structure to compare."""
    a, b = torch.full((1, 3, 16, 16), 77, dtype=torch.uint8), torch.full((1, 3, 16, 16), 179, dtype=torch.uint8)
    floor = 2.55**2  # C1 = (0.01 of the range)^2
    assert ssim(a, b).item() == pytest.approx((2 * 77 * 179 + floor) / (77**2 + 179**2 + floor), rel=1e-9)


def test_each_image_has_its_own_number() -> None:
    a, b = noise(4, 3, 16, 16), noise(4, 3, 16, 16, seed=1)
    for measure in (psnr, ssim):
        alone = torch.cat([measure(a[i : i + 1], b[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(measure(a, b), alone)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(1, 3, 8, 8\) against \(1, 1, 8, 8\)"):
        psnr(noise(1, 3, 8, 8), noise(1, 1, 8, 8))
