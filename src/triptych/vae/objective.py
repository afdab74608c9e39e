"""The evidence lower bound as an objective: one turn, in which all parts of the model move.

Notation: B batch, D latents; x image, z latent. All terms are sums over pixels and latents in nats,
so a loss grows with the image: about 3 nats a value at first, 200 for 8x8 grey and 9,000 for 32x32
colour. Adam does not feel the scale; a clipped gradient norm does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from triptych.core import Batch, Likelihood, Model, Objective, Stats, Turn
from triptych.errors import UsageError
from triptych.ramps import Ramp, always
from triptych.vae.model import Vae

ACTIVE = 0.01  # variance of the posterior mean over the data (Burda et al. 2015, section 5.2)


class Elbo(Objective):
    """E_q[-log p(x | z)] + beta KL(q(z | x) || N(0, I)) (Kingma and Welling 2013, equation 3).

    `beta` weighs the KL term (Higgins et al. 2017); at 1 the loss is the negative bound itself.
    `warm_up` multiplies it by a function of images seen (Sonderby et al. 2016). `free_bits` are
    the nats that each latent may spend, on the batch's average, before it pays (Kingma et al. 2016,
    equation 15). The logged `bound` has none of the three: it is the bound, in bits/dim.
    """

    def __init__(self, beta: float = 1.0, warm_up: Ramp = always, free_bits: float = 0.0) -> None:
        super().__init__()
        if beta < 0 or free_bits < 0:
            raise UsageError(f"beta is {beta} and free_bits {free_bits}; neither may be negative.")
        self.beta, self.warm_up, self.free_bits = beta, warm_up, free_bits

    def turns(self, model: Model) -> Sequence[Turn]:
        """One turn, "bound", that moves the whole model."""
        if not isinstance(model, Vae):
            raise UsageError(f"This objective bounds the likelihood of a vae, not of {type(model).__name__}.")
        return [Turn("bound", list(model.parameters()), partial(self._loss, model))]

    def _loss(self, model: Vae, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        """Losses (B,) in nats for one draw of z, and the numbers to log."""
        posterior = model.posterior(batch.images)
        z = posterior.at(torch.randn_like(posterior.mean))  # (B, D)
        reconstruction = -model.log_noise(batch.images, z)  # (B,)
        kl = posterior.kl()  # (B, D)
        paid = torch.where(kl.mean(0) > self.free_bits, kl, self.free_bits).sum(1)  # (B,)
        losses = reconstruction + self.beta * self.warm_up(seen) * paid
        with torch.no_grad():
            stats = {
                "bound": Likelihood(-(reconstruction + kl.sum(1)), bound=True).bits_per_dim(model.image_shape).mean(),
                "reconstruction": reconstruction.mean(),
                "kl": kl.sum(1).mean(),
                "sigma": model.scale().mean(),
                "active": (posterior.mean.var(0) > ACTIVE).sum(),
            }
        return losses, stats
