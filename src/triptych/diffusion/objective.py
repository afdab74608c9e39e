"""Learning to denoise: one turn, with the error taken in what the network answers.

Notation: B batch; x clean image (B, C, H, W); n standard normal noise; s level; y = x + s n; D the estimate of x.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from triptych.core import Batch, Given, Model, Objective, Stats, Turn
from triptych.diffusion.levels import Levels, uniform
from triptych.diffusion.pairing import Pairing, independent
from triptych.diffusion.walker import Walker
from triptych.diffusion.weighting import Weighting, unit
from triptych.errors import UsageError
from triptych.labels import with_gaps


class Denoising(Objective):
    """Denoising (Ho et al. 2020, algorithm 1) at `levels`, with noise by `pairing` and errors by `weighting`.

    The error of the clean estimate over `out` is the error of the network's own answer. The loss is its mean
    square over the pixels, times the weight of its level. The logged `clean` is the mean square error of the
    clean estimate itself. A share `label_dropout` of what is told of images is hidden, so that the model knows
    images of any class too (Ho and Salimans 2022, arXiv:2207.12598, algorithm 1). A model with a degradation is shown
    what is left of each image, but for a share `image_dropout`, of which it is shown zeros.
    """

    def __init__(
        self,
        label_dropout: float = 0.1,
        image_dropout: float = 0.1,
        levels: Annotated[Levels, "levels"] | None = None,
        weighting: Annotated[Weighting, "weighting"] = unit,
        pairing: Annotated[Pairing, "pairing"] = independent,
    ) -> None:
        super().__init__()
        for name, share in (("label_dropout", label_dropout), ("image_dropout", image_dropout)):
            if not 0 <= share <= 1:
                raise UsageError(f"{name} is {share}; give a share from 0 to 1.")
        self.label_dropout, self.image_dropout = label_dropout, image_dropout
        self.weighting, self.pairing = weighting, pairing
        self.levels = levels or uniform()

    def turns(self, model: Model) -> Sequence[Turn]:
        """One turn, "denoise", that moves the whole model."""
        if not isinstance(model, Walker):
            raise UsageError(f"This objective teaches a diffusion model such as ddpm, no {type(model).__name__}.")
        return [Turn("denoise", list(model.parameters()), partial(self._loss, model))]

    def _loss(self, model: Walker, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        """Losses (B,) at one level and with one noise for each image, and the numbers to log."""
        x = batch.images  # (B, C, H, W)
        s, factor = self.levels.draw(len(x), model.table)  # (B,), (B,)
        y = x + s.view(-1, 1, 1, 1) * self.pairing(x)
        given = self._shown(model, x, with_gaps(batch.given, self.label_dropout))
        wrong = (model.denoise(y, s, given) - x).flatten(1)  # (B, C*H*W)
        out = model.scaling(s).out  # (B,)
        losses = self.weighting(s, out) * (wrong / out[:, None]).square().mean(1)  # (B,)
        if model.training:
            self.levels.follow(s, losses.detach(), model.table)
        return factor * losses, {"clean": wrong.detach().square().mean()}

    def _shown(self, model: Walker, x: Tensor, given: Given) -> Given:
        """What is given, and what is left of the images where the model is shown that."""
        if not model.degradation:
            return given
        hidden = torch.rand(len(x), device=x.device) < self.image_dropout  # (B,)
        return {**given, "image": model.degradation.of(x).masked_fill(hidden.view(-1, 1, 1, 1), 0)}
