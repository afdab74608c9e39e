"""The game between a generator and its critic, as two turns of one step.

Notation: B batch; x real images, (B, C, H, W) in [-1, 1]; z latent; logits are the critic's, (B,).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from triptych import chance, ranks
from triptych.chance import Draw
from triptych.core import NOTHING, Batch, Critic, Encodes, Given, Model, Objective, Stats, Turn
from triptych.errors import UsageError
from triptych.gan.augment import Augment
from triptych.gan.games import Game, non_saturating
from triptych.gan.penalties import PathLength, Penalty
from triptych.ramps import Ramp, always


def prior_draws(model: Model, batch: Batch) -> Tensor:
    """As many images of the model as the batch holds, z ~ N(0, I), given what is known of the batch."""
    z = chance.noise(batch.images, *model.latent_shape)
    return model.decode(z, batch.given).to(batch.images.dtype)  # (B, latent) -> (B, C, H, W)


def reconstructions(model: Model, batch: Batch) -> Tensor:
    """The batch encoded, with one draw of z, and decoded again (Larsen et al. 2016, arXiv:1512.09300, section 2.3).

    Raises a `UsageError` for a model that does not encode.
    """
    x, given = batch.images, batch.given
    if not isinstance(model, Encodes):
        raise UsageError("objective.fakes: reconstructions are made by a model that encodes; take prior-draws.")
    z = model.encode(x, given, Draw.of_turn(len(x), x.device))  # (B, C, H, W) -> (B, latent)
    return model.decode(z, given).to(x.dtype)


Fakes = Annotated[Callable[[Model, Batch], Tensor], "fakes"]  # model, batch -> generated images (B, C, H, W)


class Adversarial(Objective):
    """A critic learns to tell real images from generated ones, the model to deceive it.

    Goodfellow et al. 2014, algorithm 1. Real and generated images go through the critic in batches of
    their own: where it holds batch norm, each kind is normalised by its own statistics. The generator
    moves at every `critic_steps`-th move of the critic. `penalty` is added to the critic's losses, the
    path length penalty (0: none) to the generator's. `augment` changes all images that the critic sees.
    `fakes` are the generated images; `weight` times `ramp` multiplies what the generator goes down in the
    game, for a term beside others that is to be light, or to begin later than the critic's lessons do.
    """

    def __init__(
        self,
        critic: Critic,
        game: Game = non_saturating,
        penalty: Penalty | None = None,
        critic_steps: int = 1,
        augment: Augment | None = None,
        path_length: float = 0.0,
        fakes: Fakes = prior_draws,
        weight: float = 1.0,
        ramp: Ramp = always,
    ) -> None:
        super().__init__()
        if critic_steps < 1 or path_length < 0 or weight < 0:
            raise UsageError(
                f"critic_steps is {critic_steps}, path_length {path_length}, weight {weight}: "
                "give 1 or more, 0 or more, 0 or more."
            )
        self.critic, self.game, self.penalty, self.augment = critic, game, penalty, augment
        self.fakes, self.weight, self.ramp = fakes, weight, ramp
        self.critic_steps = critic_steps
        self.path = PathLength(path_length) if path_length else None

    def turns(self, model: Model) -> Sequence[Turn]:
        """The critic's turn, then the generator's, each on generated images of its own."""
        return (
            Turn("critic", list(self.critic.parameters()), partial(self._critic_loss, model)),
            Turn("generator", list(model.parameters()), partial(self._generator_loss, model), self.critic_steps),
        )

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """What the critic sees in images (B, C, H, W): the features (B, F) before its last layer."""
        features: Tensor = self.critic.features(x)  # type: ignore[operator]
        return features

    def begin(self, model: Model, seen: int) -> None:
        """Called before each turn: where networks change with the images seen, they do it here."""

    def seen_as(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) as the critic is shown them."""
        return x if self.augment is None else self.augment(x)

    def _critic_loss(self, model: Model, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        self.begin(model, seen)
        with torch.no_grad():  # nothing of this turn reaches the generator
            x, fakes = self.seen_as(batch.images), self.seen_as(self.fakes(model, batch))  # (B, C, H, W) each
        real, fake = self._logits(x, batch), self._logits(fakes, batch)  # (B,), (B,)
        rows = ranks.whole if self.augment else ranks.logged
        losses, stats = self.game(real, fake)[0], standing(rows(real.detach()), rows(fake.detach()))
        if self.penalty is not None:
            penalty = self.penalty(lambda images: self._logits(images, batch), x, fakes, seen)  # (B,)
            losses, stats["penalty"] = losses + penalty, penalty.detach().mean()
        if self.augment is not None and self.training:
            stats |= self.augment.follow(stats["accuracy_real"], ranks.count(len(x)), seen)
        return losses, stats

    def _generator_loss(self, model: Model, batch: Batch, seen: int) -> tuple[Tensor, Stats]:
        self.begin(model, seen)
        with torch.no_grad():  # the real logits do not depend on the generator
            real = self._logits(self.seen_as(batch.images), batch)  # (B,)
        fake = self._logits(self.seen_as(self.fakes(model, batch)), batch)  # (B,)
        losses, stats = self.weight * self.ramp(seen) * self.game(real, fake)[1], {}
        if self.path is not None:
            path = self.path(model, batch, seen // ranks.count(len(batch.images)) // self.critic_steps)
            losses, stats = losses + path, {"path": path.detach()}
        return losses, {**stats, "fooled": (fake.detach() > ranks.logged(real).mean()).to(fake.dtype).mean()}

    def _logits(self, x: Tensor, batch: Batch) -> Tensor:
        logits: Tensor = self.critic(x, batch.given)  # (B, C, H, W) -> (B,)
        return logits.to(x.dtype)  # the game is played in full precision


def standing(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """How well a critic tells logits of real images (B,) from those of generated ones (B,).

    Some games fix no logit that stands for "either", so the middle between the two means does: each
    accuracy is the share of its kind on its own side of it, and near 0.5 where the critic knows nothing.
    On held-out images the same numbers show a critic that has learnt its real images by heart.
    """
    middle = (real.mean() + fake.mean()) / 2
    return {
        "real_logit": real.mean(),
        "fake_logit": fake.mean(),
        "accuracy_real": (real > middle).float().mean(),
        "accuracy_fake": (fake < middle).float().mean(),
    }
