"""Two stages of a latent model: the codec learns, then the prior learns what the codec makes of images.

Notation: B batch, c h w channels and sides of the latents; x image, z latent, u standardised latent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from triptych import ranks
from triptych.chance import Draw
from triptych.core import Batch, Model, Objective, Stats, Turn
from triptych.errors import UsageError
from triptych.together.latent import HORIZON, Latent
from triptych.together.summed import Part, distinct

EVERY = 16  # steps of the codec between two looks at its latents, which cost an encoding


class Staged(Objective):
    """The turns of `codec` until `switch` images were seen, then those of `prior`, while the codec stands still.

    The prior is shown draws of the posterior, standardised. Their mean and deviation follow the codec while it
    learns and stand still from 2 `HORIZON` images after the switch on. With `switch` 0 a codec that is
    trained already gets its prior. Ramps of both stages go by the images seen since the run began.
    """

    def __init__(self, codec: Part, prior: Part, switch: int) -> None:
        super().__init__()
        if switch < 0:
            raise UsageError(f"objective.switch is {switch}: give the images after which the prior learns, 0 or more.")
        self.codec, self.prior, self.switch = codec, prior, switch

    def turns(self, model: Model) -> Sequence[Turn]:
        """Those of both stages; a `UsageError` for a model without codec and prior, and for names that come twice."""
        if not isinstance(model, Latent):
            raise UsageError(f"This objective teaches a codec and its prior, kind latent, no {type(model).__name__}.")
        first = [_within(turn, 0, self.switch) for turn in self.codec.turns(model.codec)]
        first[0] = first[0]._replace(loss=partial(self._codec_loss, model, first[0]))
        second = [_within(turn, self.switch, math.inf) for turn in self.prior.turns(model.prior)]
        shown = [turn._replace(loss=partial(self._prior_loss, model, turn)) for turn in second]
        return distinct([*first, *shown])

    def _codec_loss(self, model: Latent, turn: Turn, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        losses, stats = turn.loss(batch, seen)
        if model.training and seen // ranks.count(len(batch.images)) % EVERY == 0:
            model.standard.follow(_drawn(model, batch))
        return losses, stats

    def _prior_loss(self, model: Latent, turn: Turn, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        model.codec.eval()  # it stands still: no dropout, no statistics of a batch
        z = _drawn(model, batch)  # (B, c, h, w)
        if model.training and seen < self.switch + 2 * HORIZON:
            model.standard.follow(z)
        return turn.loss(Batch(model.standard(z), batch.given), seen)


@torch.no_grad()
def _drawn(model: Latent, batch: Batch) -> Tensor:
    """Draws of the batch's latents, (B, c, h, w)."""
    return model.latents(batch.images, batch.given, Draw.of_turn(len(batch.images), batch.images.device))


def _within(turn: Turn, start: float, end: float) -> Turn:
    """A turn with its span cut to a stage."""
    return turn._replace(span=(max(start, turn.span[0]), min(end, turn.span[1])))
