"""The other player: a critic is a trunk that sees features and a head that judges them.

Notation: B batch, C channels, H W image sides, F features; x image in [-1, 1], y class.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from triptych.core import NOTHING, Given
from triptych.errors import UsageError
from triptych.labels import told


class Critic(nn.Module):
    """D(x, y) = head(phi(x)) + embed(y) . phi(x): logits (B,) of images (B, C, H, W).

    `trunk` is phi, to features (B, F). Without `classes` the second term, the projection of Miyato and
    Koyama 2018 (arXiv:1802.05637, equation 3), is not there. `layer` makes the two linear layers, where
    a paper has its own kind.
    """

    def __init__(
        self, trunk: nn.Module, features: int, classes: int = 0, layer: Callable[..., nn.Module] = nn.Linear
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = layer(features, 1)
        self.embed = layer(classes, features, bias=False) if classes else None
        self.classes = classes

    def features(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to what the critic sees in them, (B, F)."""
        y: Tensor = self.trunk(x)
        return y

    def forward(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        seen = self.features(x)  # (B, F)
        logits: Tensor = self.head(seen)[:, 0]  # (B,)
        if self.embed is not None:
            if "labels" not in given:
                raise UsageError("This critic judges images of a class: train it on images with labels.")
            asked = self.embed(told(given["labels"], self.classes).to(seen.dtype))  # (B, F)
            logits = logits + (asked * seen).sum(1)
        return logits
