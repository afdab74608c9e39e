"""Guidance: functions of denoisers, away from what weaker ones say.

Notation: D estimates of the clean image (B, C, H, W) at levels s (B,).
"""

from __future__ import annotations

from torch import Tensor

from triptych.diffusion.samplers import Denoiser


def guided(denoise: Denoiser, *weaker: tuple[Denoiser, float]) -> Denoiser:
    """D + sum of (scale - 1) (D - D_weaker) over the weaker ones, each with its scale.

    Classifier-free guidance where a weaker one is not told the class (Ho and Salimans 2022, arXiv:2207.12598,
    equation 6, whose w is scale - 1); autoguidance where it is a smaller or earlier self (Karras et al. 2024,
    arXiv:2406.02507, equation 3). With scale 1 a weaker one is not asked; with scale 0 it is all that is.
    """
    heard = [(one, scale) for one, scale in weaker if scale != 1]
    if not heard:
        return denoise
    if len(heard) == 1 and heard[0][1] == 0:
        return heard[0][0]

    def answer(y: Tensor, s: Tensor, *until: Tensor) -> Tensor:
        clean = denoise(y, s, *until)
        return clean + sum((scale - 1) * (clean - one(y, s, *until)) for one, scale in heard)

    return answer


def within(denoise: Denoiser, outside: Denoiser, low: float, high: float) -> Denoiser:
    """`denoise` at levels from `low` to `high`, `outside` at all others.

    Guidance of an interval (Kynkäänniemi et al. 2024, arXiv:2404.07724, equation 5). Where all levels of a batch lie
    on one side, only that side is asked.
    """

    def either(y: Tensor, s: Tensor, *until: Tensor) -> Tensor:
        inside = (low <= s) & (s <= high)
        if inside.all():
            return denoise(y, s, *until)
        if not inside.any():
            return outside(y, s, *until)
        return denoise(y, s, *until).where(inside.view(-1, 1, 1, 1), outside(y, s, *until))

    return either
