"""How a turn's parameters move: PyTorch's optimisers with a learning-rate ramp, gradient clipping and skipping."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from triptych import ranks
from triptych.errors import UsageError
from triptych.magnitudes import set_back
from triptych.ramps import Ramp, always

Parameters = Sequence[nn.Parameter]


def certain(number: Tensor) -> None:
    """Raise a `FloatingPointError` for a number that is not finite, where looking at it costs no waiting."""
    if number.device.type == "cpu" and not number.isfinite():
        raise FloatingPointError(str(number.item()))


class Optimiser:
    """One turn's optimiser: the rate follows `ramp(seen)`, gradients are clipped to norm `clip`.

    With `bound`, weights are kept in [-bound, bound] after each move; `UnitRows` are set back to a magnitude of 1.
    A gradient whose norm is above `skip` moves nothing, neither weights nor moments (Child 2021, arXiv:2011.10650,
    section 3.3): clipped, the few that are thousands of times too large would still set the direction of a step.
    """

    def __init__(
        self,
        torch_optimiser: torch.optim.Optimizer,
        rate: float,
        ramp: Ramp,
        clip: float | None,
        bound: float | None = None,
        skip: float | None = None,
    ) -> None:
        if any(limit is not None and limit <= 0 for limit in (clip, skip)):
            raise UsageError(f"An optimiser has clip {clip} and skip {skip}: give norms above 0, or null.")
        self.torch = torch_optimiser
        self.shards = ranks.KEPT_BY_ALL
        self.ease = 1.0  # what the rate is multiplied by besides: less after a run has gone back
        self._rate, self._ramp, self._clip, self._bound = rate, ramp, clip, bound
        self.skip = skip
        self.parameters = [p for group in torch_optimiser.param_groups for p in group["params"]]

    @torch.no_grad()
    def step(self, seen: int) -> Tensor:
        """Move once down the gradients that the parameters hold, then forget them; returns their norm.

        One that is no finite number moves nothing: on a CPU it is a `FloatingPointError`, elsewhere, where nobody
        waits for it, Adam leaves its weights alone and the log will show it.
        """
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        certain(norm)
        skips, fused = self.skips(norm), bool(self.torch.defaults.get("fused"))
        if fused:  # leaves alone weights, moments and count where its `found_inf` is 1, and nobody waits for that
            self.torch.found_inf = (skips | ~norm.isfinite()).float()  # type: ignore[attr-defined]
        if self.skip is None or (fused and norm.device.type != "cpu") or not skips:
            self._move(norm, seen)
        self.torch.zero_grad(set_to_none=True)
        return norm

    def skips(self, norm: Tensor) -> Tensor:
        """Whether gradients of this norm are left alone. One that is no number is not: it is to stop the run."""
        return norm > (math.inf if self.skip is None else self.skip)

    def _move(self, norm: Tensor, seen: int) -> None:
        if self._clip is not None:
            nn.utils.clip_grads_with_norm_(self.parameters, self._clip, norm)
        for group in self.torch.param_groups:
            group["lr"] = self._rate * self._ramp(seen) * self.ease
        for parameter in self.parameters:
            parameter.grad = parameter.grad if self.shards.keeps(parameter) else None
        self.torch.step()
        if self._bound is not None:
            for parameter in self.parameters:
                parameter.clamp_(-self._bound, self._bound)
        set_back(self.parameters)
        self.shards.send_round(self.parameters)


Maker = Callable[[Parameters], Optimiser]


def adam(
    rate: float = 2e-4,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    clip: float | None = None,
    skip: float | None = None,
    ramp: Ramp = always,
) -> Maker:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1)."""
    return adamw(rate, betas, eps, 0.0, clip, skip, ramp)


def adamw(
    rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    clip: float | None = None,
    skip: float | None = None,
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
        return Optimiser(inner, rate, ramp, clip, skip=skip)

    return make


def rmsprop(
    rate: float = 5e-5,
    alpha: float = 0.99,
    eps: float = 1e-8,
    bound: float | None = None,
    clip: float | None = None,
    skip: float | None = None,
    ramp: Ramp = always,
) -> Maker:
    """RMSprop (Hinton 2012); `bound` clips the weights, as Arjovsky et al. 2017 do (algorithm 1, c = 0.01)."""
    if rate <= 0 or not 0 <= alpha < 1 or (bound is not None and bound <= 0):
        raise UsageError(f"RMSprop has rate {rate}, alpha {alpha}, bound {bound}: give rate and bound above 0.")

    def make(parameters: Parameters) -> Optimiser:
        inner = torch.optim.RMSprop(list(parameters), rate, alpha, eps)
        return Optimiser(inner, rate, ramp, clip, bound, skip)

    return make
