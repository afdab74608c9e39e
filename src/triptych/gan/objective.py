"""The game between a generator and its critic, as two turns of one step.

Notation: B batch; x real images, (B, C, H, W) in [-1, 1]; z latent; logits are the critic's, (B,).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from triptych.core import Batch, Critic, Model, Objective, Stats, Turn
from triptych.gan.games import Game, non_saturating


class Adversarial(Objective):
    """A critic learns to tell real images from generated ones, the model to deceive it.

    Goodfellow et al. 2014, algorithm 1. Real and generated images go through the critic in batches of
    their own: where it holds batch norm, each kind is normalised by its own statistics.
    """

    def __init__(self, critic: Critic, game: Game = non_saturating) -> None:
        super().__init__()
        self.critic = critic
        self.game = game

    def turns(self, model: Model) -> Sequence[Turn]:
        """The critic's turn, then the generator's, each on generated images of its own."""
        return (
            Turn("critic", list(self.critic.parameters()), partial(self._critic_loss, model)),
            Turn("generator", list(model.parameters()), partial(self._generator_loss, model)),
        )

    def _critic_loss(self, model: Model, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        with torch.no_grad():  # nothing of this turn reaches the generator
            fakes = prior_draws(model, batch)  # (B, C, H, W)
        real, fake = self._logits(batch.images), self._logits(fakes)  # (B,), (B,)
        right = torch.cat([real > 0, fake < 0])
        return self.game(real, fake)[0], {
            "real_logit": real.detach().mean(),
            "fake_logit": fake.detach().mean(),
            "accuracy": right.float().mean(),
        }

    def _generator_loss(self, model: Model, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        with torch.no_grad():  # the real logits do not depend on the generator
            real = self._logits(batch.images)  # (B,)
        fake = self._logits(prior_draws(model, batch))  # (B,)
        return self.game(real, fake)[1], {"fooled": (fake > 0).float().mean()}

    def _logits(self, x: Tensor) -> Tensor:
        logits: Tensor = self.critic(x)  # (B, C, H, W) -> (B,)
        return logits.to(x.dtype)  # the game is played in full precision


def prior_draws(model: Model, batch: Batch) -> Tensor:
    """As many images of the model as the batch holds, z ~ N(0, I), given what is known of the batch."""
    z = torch.randn(len(batch.images), *model.latent_shape, device=batch.images.device)
    return model.decode(z, batch.given).to(batch.images.dtype)  # (B, latent) -> (B, C, H, W)
