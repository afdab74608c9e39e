"""A perceptual term: reconstructions are to look like their images to a network that has seen many others.

Dosovitskiy and Brox 2016 (arXiv:1602.02644, section 3), Johnson et al. 2016 (arXiv:1603.08155, equation 2).
Notation: B batch, C channels, H W image sides, F features; x image, y its reconstruction, both in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.core import Batch, Encodes, Model, Objective, Stats, Turn
from triptych.errors import UsageError
from triptych.extractors.bundled import watching

Watch = Callable[[Tensor], Tensor]  # float images (B, C, H, W) -> features (B, F), differentiable
Sight = Annotated[Callable[[torch.device], Watch], "sight"]


class Perceptual(Objective):
    """weight |phi(y) - phi(x)|^2 / F, phi the features of each place that `extractor` sees.

    y is decoded from one draw of the encoder, or from its mean without `draw`. A term to be added to another
    objective, whose weight depends on that one's scale.
    """

    def __init__(self, weight: float = 1.0, extractor: Sight = watching, draw: bool = True) -> None:
        super().__init__()
        if weight < 0:
            raise UsageError(f"The weight of a perceptual term is {weight}: give 0 or more.")
        self.weight, self.extractor, self.draw = weight, extractor, draw

    def turns(self, model: Model) -> Sequence[Turn]:
        """One turn, "perceptual", that moves the whole model; a `UsageError` for one that does not encode."""
        if not isinstance(model, Encodes):
            raise UsageError(f"A perceptual term needs a model that encodes and decodes, no {type(model).__name__}.")
        watch = self.extractor(next(model.parameters()).device)
        return [Turn("perceptual", list(model.parameters()), partial(self._loss, model, watch))]

    def _loss(self, model: Model, watch: Watch, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        x, given = batch.images, batch.given  # (B, C, H, W)
        draw = Draw.of_turn(len(x), x.device) if self.draw else None
        y = model.decode(model.encode(x, given, draw), given).to(x.dtype)  # type: ignore[operator]
        with torch.no_grad():
            wanted = watch(x)  # (B, F)
        losses = self.weight * (watch(y) - wanted).square().mean(1)
        return losses, {}
