"""How much the error at each level counts, as factors of the square error of the network's own answer.

An answer F stands for the clean image by D = skip y + out F, so the error of the clean image is `out` times that
of F: a weight w(s) of |D - x|^2 is w(s) out^2 of |F - F*|^2. Notation: s levels (B,), out (B,), SNR = 1 / s^2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from triptych.errors import UsageError

Weighting = Callable[[Tensor, Tensor], Tensor]  # s (B,), out (B,) -> factors (B,)


def unit(s: Tensor, out: Tensor) -> Tensor:
    """Every answer as much: with `eps` the simple loss of Ho et al. (2020, equation 14), and so on (`scaling.py`)."""
    return torch.ones_like(s)


def min_snr(gamma: float = 5.0) -> Weighting:
    """min(SNR, gamma) of the clean image's error (Hang et al. 2023, arXiv:2303.09556, section 3.4)."""
    _positive("gamma", gamma)
    return lambda s, out: s.pow(-2).clamp(max=gamma) * out.square()


def p2(gamma: float = 1.0, k: float = 1.0) -> Weighting:
    """1 / (k + SNR)^gamma of the noise's error (Choi et al. 2022, arXiv:2204.00227, equation 8)."""
    _positive("gamma", gamma)
    _positive("k", k)
    return lambda s, out: (k + s.pow(-2)).pow(-gamma) * (out / s).square()


def edm(deviation: float = 0.5) -> Weighting:
    """(s^2 + d^2) / (s d)^2 of the clean image's error (Karras et al. 2022, arXiv:2206.00364, table 1)."""
    _positive("deviation", deviation)
    return lambda s, out: (s.square() + deviation**2) / (s * deviation).square() * out.square()


def velocity(least: float = 0.05) -> Weighting:
    """Every velocity n - x of the straight path as much, whatever is predicted: 1 / t^2 of the clean image's error.

    t = s / (1 + s) is not taken for less than `least` (Li and He 2025, arXiv:2511.13720, section 4.3).
    """
    _positive("least", least)
    return lambda s, out: (out / (s / (1 + s)).clamp(min=least)).square()


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"weighting.{name} is {value}: give a number above 0.")
