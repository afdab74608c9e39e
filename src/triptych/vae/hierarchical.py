"""The bound of a hierarchical VAE as an objective: one turn, in which all parts of the model move.

Notation: B batch, D latents, L levels; x image, e noise of the latents. All terms are sums over pixels and
latents in nats, as in `objective.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from triptych import chance, ranks
from triptych.core import Batch, Likelihood, Model, Objective, Stats, Turn
from triptych.errors import UsageError
from triptych.ramps import Ramp, always
from triptych.vae.hvae import HierarchicalVae

AWAKE = 0.1  # nats of an image above which a level counts as one in use


class Hierarchical(Objective):
    """E_q[-log p(x | z)] + warm_up sum_l KL(q(z_l | z_<l, x) || p(z_l | z_<l)) (Child 2021, equation 4).

    `free_bits` are the nats that each level may spend on an image, on the batch's average, before it pays
    (Kingma et al. 2016, arXiv:1606.04934, equation 15); `warm_up` is a function of images seen. The logged
    `bound` has neither in it: it is the bound itself, in bits/dim.
    """

    def __init__(self, warm_up: Ramp = always, free_bits: float = 0.0) -> None:
        super().__init__()
        if free_bits < 0:
            raise UsageError(f"free_bits is {free_bits}: give nats a level, 0 or more.")
        self.warm_up, self.free_bits = warm_up, free_bits

    def turns(self, model: Model) -> Sequence[Turn]:
        """The one turn, "bound"."""
        if not isinstance(model, HierarchicalVae):
            raise UsageError(f"This objective bounds the likelihood of an hvae, not of {type(model).__name__}.")
        return [Turn("bound", list(model.parameters()), partial(self._loss, model))]

    def _loss(self, model: HierarchicalVae, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        """Losses (B,) in nats, and the numbers to log."""
        x = batch.images
        noise = chance.noise(x, *model.latent_shape)
        found = model.infer(model.encoder(x), noise, batch.given)
        reconstruction = -model.noise.log_prob(x, found.answers)  # (B,)
        kl = torch.stack([level.flatten(1).sum(1) for level in model.split(found.q.kl())], 1)  # (B, L)
        mean = (ranks.whole if self.free_bits else ranks.logged)(kl.detach()).mean(0)
        paid = torch.where(mean > self.free_bits, kl, self.free_bits).sum(1)  # (B,)
        losses = reconstruction + self.warm_up(seen) * paid
        with torch.no_grad():
            nats = -(reconstruction + kl.sum(1))
            stats = {
                "bound": Likelihood(nats, bound=True).bits_per_dim(model.image_shape).mean(),
                "reconstruction": reconstruction.mean(),
                "kl": kl.sum(1).mean(),
                "kl_top": kl[:, 0].mean(),
                "active": (mean > AWAKE).sum(),
            }
        return losses, stats
