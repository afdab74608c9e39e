"""How a turn's parameters move: PyTorch's optimisers with a learning-rate ramp and gradient clipping."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from triptych.errors import UsageError
from triptych.ramps import Ramp, always

Parameters = Sequence[nn.Parameter]


class Optimiser:
    """One turn's optimiser: the rate follows `ramp(seen)`, gradients are clipped to norm `clip`."""

    def __init__(self, torch_optimiser: torch.optim.Optimizer, rate: float, ramp: Ramp, clip: float | None) -> None:
        self.torch = torch_optimiser
        self._rate, self._ramp, self._clip = rate, ramp, clip
        self._parameters = [p for group in torch_optimiser.param_groups for p in group["params"]]

    def step(self, seen: int) -> None:
        """Move once down the gradients that the parameters hold, then forget them."""
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._clip)
        for group in self.torch.param_groups:
            group["lr"] = self._rate * self._ramp(seen)
        self.torch.step()
        self.torch.zero_grad(set_to_none=True)


Maker = Callable[[Parameters], Optimiser]


def adam(
    rate: float = 2e-4,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    clip: float | None = None,
    ramp: Ramp = always,
) -> Maker:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1)."""
    return adamw(rate, betas, eps, 0.0, clip, ramp)


def adamw(
    rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    clip: float | None = None,
    ramp: Ramp = always,
) -> Maker:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2)."""
    if rate <= 0 or not all(0 <= beta < 1 for beta in betas):
        raise UsageError(f"An optimiser has rate {rate} and betas {betas}: give a rate above 0, betas in [0, 1).")

    def make(parameters: Parameters) -> Optimiser:
        fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
        inner = torch.optim.AdamW(
            list(parameters), rate, (float(betas[0]), float(betas[1])), eps, weight_decay, fused=fused
        )
        return Optimiser(inner, rate, ramp, clip)

    return make
