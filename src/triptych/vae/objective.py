"""The evidence lower bound as an objective: one turn, in which all parts of the model move.

Notation: B batch, D latents, K draws; x image, z latent. All terms are sums over pixels and latents in nats,
so a loss grows with the image: about 3 nats a value at first, 200 for 8x8 grey and 9,000 for 32x32
colour. Adam does not feel the scale; a clipped gradient norm does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from triptych import chance, ranks
from triptych.core import ACTIVE, Batch, Likelihood, Model, Objective, Stats, Turn
from triptych.errors import UsageError
from triptych.ramps import Ramp, always
from triptych.vae.model import Vae
from triptych.vae.posterior import Posterior


class Elbo(Objective):
    """E_q[-log p(x | z)] + beta KL(q(z | x) || p(z)) (Kingma and Welling 2013, equation 3).

    `beta` weighs the KL term (Higgins et al. 2017); at 1 the loss is the negative bound itself.
    `warm_up` multiplies it by a function of images seen (Sonderby et al. 2016; "cyclical": Fu et al. 2019).
    `free_bits` are the nats that each latent may spend, on the batch's average, before it pays (Kingma et al.
    2016, equation 15). With `samples` K above 1 the bound is that of K weighted draws (IWAE: Burda et al. 2015,
    equation 8), which has no KL to weigh. The logged `bound` has none of the weights: it is the bound itself,
    in bits/dim. `only` "decoder" leaves encoder and latents as they are.

    A `fitted` prior of the model learns in a turn of its own, "prior", from draws of the posterior: it
    maximises E log p(z) and moves nothing else (a prior after the fact: Dai and Wipf 2019, arXiv:1903.05789).
    """

    def __init__(
        self,
        beta: float = 1.0,
        warm_up: Ramp = always,
        free_bits: float = 0.0,
        samples: int = 1,
        only: Literal["all", "decoder"] = "all",
    ) -> None:
        super().__init__()
        if beta < 0 or free_bits < 0 or samples < 1:
            raise UsageError(
                f"beta is {beta}, free_bits {free_bits}, samples {samples}: give 0 or more, 0 or more, 1 or more."
            )
        if samples > 1 and (beta != 1 or free_bits or warm_up is not always):
            raise UsageError("With samples above 1 the bound has no KL of its own: leave beta, warm_up and free_bits.")
        self.beta, self.warm_up, self.free_bits = beta, warm_up, free_bits
        self.samples, self.only = samples, only

    def turns(self, model: Model) -> Sequence[Turn]:
        """The turn "bound", and "prior" where the model has a fitted one."""
        if not isinstance(model, Vae):
            raise UsageError(f"This objective bounds the likelihood of a vae, not of {type(model).__name__}.")
        afterwards = [] if model.fitted is None else list(model.fitted.parameters())
        apart = {id(p) for p in afterwards}
        part = model if self.only == "all" else torch.nn.ModuleList([model.decoder, model.noise])
        moves = [p for p in part.parameters() if id(p) not in apart]
        turns = [Turn("bound", moves, partial(self._loss, model))]
        return turns + ([Turn("prior", afterwards, partial(self._prior_loss, model))] if afterwards else [])

    def _loss(self, model: Vae, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        """Losses (B,) in nats, and the numbers to log."""
        x, given = batch.images, batch.given
        q = model.posterior(x)
        z = q.at(chance.noise(q.mean))  # (B, ...)
        reconstruction = -model.log_noise(x, z, given)  # (B,)
        kl = model.kl(q, z)  # (B, D)
        if self.samples > 1:
            losses = self._weighted(model, batch, q)
        else:
            mean = (ranks.whole if self.free_bits else ranks.logged)(kl.detach()).mean(0)
            paid = torch.where(mean > self.free_bits, kl, self.free_bits).sum(1)  # (B,)
            losses = reconstruction + self.beta * self.warm_up(seen) * paid
        with torch.no_grad():
            nats = -(reconstruction + kl.sum(1)) if self.samples == 1 else -losses
            stats = {
                "bound": Likelihood(nats, bound=True).bits_per_dim(model.image_shape).mean(),
                "reconstruction": reconstruction.mean(),
                "kl": kl.sum(1).mean(),
                "sigma": model.noise.spread(),
                "active": (ranks.logged(q.mean).var(0) > ACTIVE).sum(),
            }
        return losses, stats

    def _weighted(self, model: Vae, batch: Batch, q: Posterior) -> Tensor:
        """Minus the bound of K draws, (B,)."""
        draws = (q.at(chance.noise(q.mean)) for _ in range(self.samples))
        weights = [model.log_weight(batch.images, q, z, batch.given) for z in draws]
        return math.log(self.samples) - torch.stack(weights).logsumexp(0)

    def _prior_loss(self, model: Vae, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        """What the fitted prior finds of draws of the posterior, minus log p(z), (B,)."""
        assert model.fitted is not None
        with torch.no_grad():
            q = model.posterior(batch.images)
            z = q.at(chance.noise(q.mean))
        return -model.log_prior(z), {}
