"""What the two players of a game want, as functions of the critic's logits.

A game takes the logits of real and of generated images, (B,) each and as many of one as of the other,
and returns the critic's losses and the generator's, (B,) each. Both players go down their own loss.
A logit l stands for the probability sigmoid(l) that an image is real, so with S(l) = log(1 + e^l):
-log D = S(-l) and -log(1 - D) = S(l).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from torch import Tensor
from torch.nn.functional import relu, softplus

from triptych import ranks

Losses = tuple[Tensor, Tensor]  # the critic's (B,), the generator's (B,)
Game = Annotated[Callable[[Tensor, Tensor], Losses], "game"]


def minimax(real: Tensor, fake: Tensor) -> Losses:
    """min_G max_D log D(x) + log(1 - D(G(z))) (Goodfellow et al. 2014, equation 1)."""
    return softplus(-real) + softplus(fake), -softplus(fake)


def non_saturating(real: Tensor, fake: Tensor) -> Losses:
    """Cross-entropy on both sides: the generator goes up log D(G(z)) (Goodfellow et al. 2014, section 3)."""
    return softplus(-real) + softplus(fake), softplus(-fake)


def least_squares(real: Tensor, fake: Tensor) -> Losses:
    """Regression to 1 for real and 0 for generated images (Mao et al. 2017, equation 9)."""
    return ((real - 1) ** 2 + fake**2) / 2, (fake - 1) ** 2 / 2


def hinge(real: Tensor, fake: Tensor) -> Losses:
    """The critic stops at a margin of 1 (Lim and Ye 2017; Miyato et al. 2018, equations 16 and 17)."""
    return relu(1 - real) + relu(1 + fake), -fake


def wasserstein(real: Tensor, fake: Tensor) -> Losses:
    """The critic's mean on one kind against that on the other (Arjovsky et al. 2017, equations 2 and 3).

    It is a distance where something keeps the critic's slope bounded: clipped weights or a penalty.
    """
    return fake - real, -fake


def relativistic(real: Tensor, fake: Tensor) -> Losses:
    """Real against generated in pairs: RpGAN (Jolicoeur-Martineau 2019; Huang et al. 2024, equation 2)."""
    return softplus(fake - real), softplus(real - fake)


def relativistic_average(real: Tensor, fake: Tensor) -> Losses:
    """Each image against the average of the other kind: RaGAN (Jolicoeur-Martineau 2019, equations 8 and 9)."""
    above, below = real - ranks.whole(fake).mean(), fake - ranks.whole(real).mean()
    return softplus(-above) + softplus(below), softplus(above) + softplus(-below)
