"""Consistency: a denoiser whose answers agree all along a path of the probability flow, so that one is enough.

Notation: B batch; x clean image (B, C, H, W); n standard normal noise; s > r levels (B,); y = x + s n and x + r n two
points that share their noise; D the model's answer, which is to be the end of the path: D(y, 0) = y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from triptych import chance, ranks
from triptych.core import Batch, Model, Objective, Stats, Turn
from triptych.diffusion.levels import Levels, log_normal
from triptych.diffusion.walker import Walker
from triptych.errors import UsageError
from triptych.labels import with_gaps

STEEPNESS = 8.0  # k of ECT's mapping: how much nearer to 0 the second level of small levels is
HUBER = 0.00054  # c over the root of the values of an image (Song and Dhariwal 2023, section 3.3)


class Consistency(Objective):
    """Consistency training, and tuning where the model starts from the weights of a trained one.

    Easy consistency (Geng et al. 2024, arXiv:2406.14548, section 3): at first r is near 0, where D is the image
    itself and the lesson is denoising; with every `stage` images r / s comes nearer to 1, `stages` times in all. The
    answer at r is the goal of that at s, from the same weights and with the same dropout. The distance is a
    pseudo-Huber norm over s - r (Song and Dhariwal 2023, arXiv:2310.14189, section 3.3). A share `label_dropout` of
    what is told of images is hidden.
    """

    def __init__(
        self,
        label_dropout: float = 0.1,
        levels: Annotated[Levels, "levels"] | None = None,
        stage: int = 500_000,
        stages: int = 8,
    ) -> None:
        super().__init__()
        if not 0 <= label_dropout <= 1 or stage < 1 or stages < 1:
            raise UsageError(
                f"objective: label_dropout {label_dropout}, stage {stage}, stages {stages}: "
                "give a share from 0 to 1, 1 or more images, 1 or more stages."
            )
        self.label_dropout, self.stage, self.stages = label_dropout, stage, stages
        self.levels = levels or log_normal(-1.1, 2.0)

    def turns(self, model: Model) -> Sequence[Turn]:
        """One turn, "consistency", that moves the whole model; a `UsageError` where D(y, 0) is not y."""
        if not isinstance(model, Walker):
            raise UsageError(f"This objective teaches a diffusion model such as edm, no {type(model).__name__}.")
        at_zero = model.scaling(torch.zeros(1, dtype=torch.float64))
        if at_zero.skip.item() != 1 or at_zero.out.item() != 0:
            raise UsageError(
                "model.scaling: consistency needs an answer that is the image at level 0; take edm, flow, v or eps."
            )
        return [Turn("consistency", list(model.parameters()), partial(self._loss, model))]

    def _loss(self, model: Walker, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        """Losses (B,) of one pair of levels for each image, and the numbers to log."""
        x, given = batch.images, with_gaps(batch.given, self.label_dropout)
        s, factor = self.levels.draw(len(x), model.table)  # (B,), (B,)
        r = below(s, min(1 + seen // self.stage, self.stages))  # (B,)
        n = chance.noise(x)  # (B, C, H, W)
        with torch.no_grad(), torch.random.fork_rng([x.device] if x.is_cuda else []):
            goal = model.denoise(x + r.view(-1, 1, 1, 1) * n, r, given)
        found = model.denoise(x + s.view(-1, 1, 1, 1) * n, s, given)  # with the chance of `goal`: the same dropout
        apart = (found - goal).square().flatten(1).mean(1)  # (B,)
        losses = ((apart + HUBER**2).sqrt() - HUBER) / (s - r)
        return factor * losses, {"apart": ranks.logged(apart.detach()).mean().sqrt(), "ratio": (r / s).mean()}


def below(s: Tensor, stage: int) -> Tensor:
    """The second level r of levels s (B,): s (1 - (1 + k sigmoid(-s)) / 2^stage), or 0 where that is less.

    (Geng et al. 2024, equation 22, with q = 2.)
    """
    return s * (1 - (1 + STEEPNESS * torch.sigmoid(-s)) * math.pow(2, -stage)).clamp(min=0)
