"""The best critic of two normals, and what it reaches (Goodfellow et al. 2014, proposition 1).

D*(x) = p(x) / (p(x) + q(x)), so its logit is ln p(x) - ln q(x).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from triptych.gan.games import minimax

NODES = torch.linspace(-14, 14, 20_001, dtype=torch.float64)  # standard normal quadrature, exact to rounding
WEIGHTS = torch.softmax(-(NODES**2) / 2, 0)


def value(logit: Callable[[Tensor], Tensor], p: tuple[float, float], q: tuple[float, float]) -> float:
    """V(D) = E_p log D + E_q log(1 - D), through the game's own losses; p and q are (mean, deviation)."""
    critic, _ = minimax(logit(p[0] + p[1] * NODES), logit(q[0] + q[1] * NODES))
    return -float(WEIGHTS @ critic)


def log_density(x: Tensor, normal: tuple[float, float]) -> Tensor:
    return -(((x - normal[0]) / normal[1]) ** 2) / 2 - math.log(normal[1] * math.sqrt(2 * math.pi))


def best_logit(p: tuple[float, float], q: tuple[float, float]) -> Callable[[Tensor], Tensor]:
    return lambda x: log_density(x, p) - log_density(x, q)
