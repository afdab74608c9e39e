"""Codes and their prior as one objective of two turns: the prior learns while the codes still settle.

Notation: B batch, K codes; x image, z encodings, c codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from triptych import ranks
from triptych.core import Batch, Model, Objective, Stats, Turn
from triptych.errors import UsageError
from triptych.labels import with_gaps
from triptych.vae.codes import CodedVae
from triptych.vae.quantisers import perplexity


class Coding(Objective):
    """ "codes" moves encoder, decoder and book; "prior" moves the prior over the codes as they are, and nothing else.

    The first goes down -log p(x | c) in nats for each value, with the deviation learned, plus `commitment` times
    the mean square distance of encodings from their vectors (van den Oord et al. 2017, equation 3). The second goes
    down the cross-entropy of the codes in nats for each code; a share `label_dropout` of the labels is hidden
    from it, so that it knows images of any class too.
    """

    def __init__(self, commitment: float = 0.25, label_dropout: float = 0.1) -> None:
        super().__init__()
        if commitment < 0 or not 0 <= label_dropout <= 1:
            raise UsageError(
                f"commitment is {commitment}, label_dropout {label_dropout}; give 0 or more, and a share from 0 to 1."
            )
        self.commitment, self.label_dropout = commitment, label_dropout

    def turns(self, model: Model) -> Sequence[Turn]:
        """ "codes", then "prior"."""
        if not isinstance(model, CodedVae):
            raise UsageError(f"This objective teaches a model of codes such as vqvae, not {type(model).__name__}.")
        parts = [*model.encoder.parameters(), *model.quantiser.parameters(), *model.decoder.parameters()]
        return [
            Turn("codes", [*parts, model.log_scale], partial(self._codes, model)),
            Turn("prior", list(model.prior.parameters()), partial(self._prior, model)),
        ]

    def _codes(self, model: CodedVae, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        """Losses (B,) of the reconstruction, and the numbers to log; in training the book follows."""
        x = batch.images
        z = model.encoder(x)  # (B, D, h, w)
        vectors, codes, distance = model.quantiser(z)
        reconstruction = -model.log_noise(x, vectors) / math.prod(model.image_shape)  # (B,)
        model.quantiser.follow(z.detach(), codes)
        told = ranks.logged(codes)
        stats = {
            "reconstruction": reconstruction.detach().mean(),
            "commitment": distance.detach().mean(),
            "sigma": model.scale().detach().mean(),
            "used": torch.bincount(told.flatten(), minlength=model.quantiser.codes).gt(0).float().mean(),
            "perplexity": perplexity(told, model.quantiser.codes),
        }
        return reconstruction + self.commitment * distance, stats

    def _prior(self, model: CodedVae, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        """Losses (B,) of the prior; nothing else has a gradient."""
        with torch.no_grad():
            codes = model.codes(batch.images)
        return model.prior.loss(codes, with_gaps(batch.given, self.label_dropout)), {}
