"""MeanFlow: the mean velocity of a stretch of the straight path, so that a stretch is one step.

Notation: B batch; x clean image (B, C, H, W); n standard normal noise; t in (0, 1) a time of the straight path x_t =
(1 - t) x + t n = y / (1 + s), s = t / (1 - t); r <= t another time; v = n - x; u(x_t, r, t) the network's answer, to
be the mean of the velocity from r to t; p = t (T + 1) - 1 the place of a time in the table of T levels.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from triptych import chance, ranks
from triptych.core import Batch, Given, Model, Objective, Stats, Turn
from triptych.diffusion.levels import Levels, logit_normal
from triptych.diffusion.paths import straight
from triptych.diffusion.scaling import flow
from triptych.diffusion.walker import Walker
from triptych.errors import UsageError
from triptych.labels import with_gaps

LEAST = 1e-3  # c of the adaptive weight (Geng et al. 2025, equation 22)


class MeanFlow(Objective):
    """The MeanFlow identity as a goal (Geng et al. 2025, arXiv:2505.13447, algorithm 1).

    u = v - (t - r) du/dt, the total derivative along the path being a product of the Jacobian with (v, 0, 1). For a
    share `apart` of the images r and t are two draws of `levels`, for the others one, and the goal is flow matching.
    Each loss is the mean square error over its own size to the power of `adaptive`. A share `label_dropout` of what
    is told of images is hidden.
    """

    def __init__(
        self,
        label_dropout: float = 0.1,
        levels: Annotated[Levels, "levels"] | None = None,
        apart: float = 0.25,
        adaptive: float = 0.75,
    ) -> None:
        super().__init__()
        if not 0 <= label_dropout <= 1 or not 0 <= apart <= 1 or adaptive < 0:
            raise UsageError(
                f"objective: label_dropout {label_dropout}, apart {apart}, adaptive {adaptive}: "
                "give shares from 0 to 1 and a power of 0 or more."
            )
        self.label_dropout, self.apart, self.adaptive = label_dropout, apart, adaptive
        self.levels = levels or logit_normal(-0.4, 1.0)

    def turns(self, model: Model) -> Sequence[Turn]:
        """One turn, "mean", that moves the whole model; a `UsageError` for one that has no mean velocities."""
        if not isinstance(model, Walker):
            raise UsageError(f"This objective teaches a diffusion model such as meanflow, no {type(model).__name__}.")
        if model.scaling is not flow or not torch.equal(model.table, straight(len(model.table)).table.to(model.table)):
            raise UsageError("model: mean velocities are those of the straight path; take path straight, scaling flow.")
        if not getattr(model.net, "until", False):
            raise UsageError(
                "model.net: the network is not told where a stretch ends; take unet or dit, with model.net.until=true."
            )
        return [Turn("mean", list(model.parameters()), partial(self._loss, model))]

    def _loss(self, model: Walker, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        """Losses (B,) of one stretch of the path for each image, and the numbers to log."""
        x, given = batch.images, with_gaps(batch.given, self.label_dropout)
        r, t = self._times(len(x), model.table)  # (B,) each
        n = chance.noise(x)  # (B, C, H, W)
        x_t, v = x + t.view(-1, 1, 1, 1) * (n - x), n - x
        goal = v - (t - r).view(-1, 1, 1, 1) * self._slope(model, x_t, r, t, v, given)
        wrong = (mean_velocity(model, x_t, r, t, given) - goal).square().flatten(1).mean(1)  # (B,)
        losses = wrong / (wrong.detach() + LEAST).pow(self.adaptive)
        return losses, {"wrong": wrong.detach().mean()}

    def _slope(self, model: Walker, x_t: Tensor, r: Tensor, t: Tensor, v: Tensor, given: Given) -> Tensor:
        """du/dt of the images apart, which are the first of a batch, and 0 of the others, for which t - r is 0."""
        slope, far = torch.zeros_like(ranks.whole(v)), int(self.apart * ranks.count(len(v)))
        if far:
            at, low, high, speed = (ranks.first(one, far) for one in (x_t, r, t, v))
            told = {name: ranks.first(value, far) for name, value in given.items()}
            with ranks.divided(far, "objective.apart"):
                slope[:far] = ranks.whole(change(model, at, low, high, speed, told))
        return ranks.own(slope)

    def _times(self, count: int, table: Tensor) -> tuple[Tensor, Tensor]:
        """Times r <= t, (B,) each, the first of them apart."""
        s = torch.stack([self.levels.draw(count, table).s, self.levels.draw(count, table).s])  # (2, B)
        times = (s / (1 + s)).sort(0).values
        far = ranks.draw(lambda n: torch.arange(n, device=s.device) < int(self.apart * n), count)
        return times[0].where(far, times[1]), times[1]


def mean_velocity(model: Walker, x_t: Tensor, r: Tensor, t: Tensor, given: Given | Mapping[str, Tensor]) -> Tensor:
    """u (B, C, H, W) from times r to t (B,)."""
    steps = len(model.table) + 1
    answer: Tensor = model.net(x_t, t * steps - 1, {**given, "until": r * steps - 1})
    return answer


@torch.no_grad()
def change(model: Walker, x_t: Tensor, r: Tensor, t: Tensor, v: Tensor, given: Given) -> Tensor:
    """du/dt along the path, (B, C, H, W): v du/dx_t + du/dt, in one pass (Geng et al. 2025, equation 8)."""

    def u(x_t: Tensor, t: Tensor) -> Tensor:
        return mean_velocity(model, x_t, r, t, given)

    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():  # the fused kernels have no forward derivative
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch scripts its own derivatives
        slope: Tensor = torch.func.jvp(u, (x_t, t), (v, torch.ones_like(t)))[1]
    return slope
