"""The one model of the family: whatever its networks, a generator is noise in, image out.

A mapping turns the latent z and the class into a style w, and a painter turns w into an image.
Where a paper has no mapping network, the style is the latent itself, and the class beside it.

Notation: B batch, C channels, H W image sides, D values of a style, L layers that a painter gives
styles of their own; z latent, w style, (B, D) or (B, L, D); x image in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from triptych import chance
from triptych.chance import Draw
from triptych.core import NOTHING, Given, Model, Shape
from triptych.errors import UsageError
from triptych.labels import told

CENTRE = 1024  # latents whose mean style is the centre that truncation pulls to; half of them are the others mirrored


class Generator(Model):
    """x = net(w) with w = mapping(z, class) and z ~ N(0, I).

    `net` paints styles as images (B, C, H, W) in [-1, 1]; `mapping` takes latents (B, latent) and labels
    (B,), or None without `classes`, to styles. Where the networks hold batch norm or mix styles, an image
    is a function of its own z alone in eval mode only.
    """

    def __init__(
        self, net: nn.Module, image_shape: Shape, latent: int, classes: int = 0, mapping: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.net = net
        self.mapping = mapping or Beside(classes)
        self.image_shape = image_shape
        self.latent_shape = (check_latent(latent),)
        self.classes = classes

    def style(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Latents (B, latent) to styles w; raises a `UsageError` where a class is needed and not given."""
        if z.shape[1:] != self.latent_shape:
            raise UsageError(f"Latents have shape {tuple(z.shape)}; this model takes (images, {self.latent_shape[0]}).")
        if self.classes and "labels" not in given:
            raise UsageError("This model makes images of a class: give labels, one for each image.")
        w: Tensor = self.mapping(z, given["labels"] if self.classes else None)
        return w

    def paint(self, w: Tensor) -> Tensor:
        """Styles to images (B, C, H, W) in [-1, 1]."""
        x: Tensor = self.net(w)
        return x

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Latents (B, latent) to images (B, C, H, W) in [-1, 1]."""
        return self.paint(self.style(z, given))

    def sample(self, draw: Draw, given: Given = NOTHING, truncation: float = 1.0) -> Tensor:
        """New images (B, C, H, W), one for each generator of `draw`.

        `truncation` psi pulls each style towards the centre, w' = c + psi (w - c) (Karras et al. 2019,
        arXiv:1812.04948, appendix B): 1 changes nothing, 0 gives the average image of each class; less
        variety for more even quality. Raises a `UsageError` outside [0, 1].
        """
        if not 0 <= truncation <= 1:
            raise UsageError(f"The truncation is {truncation}: give a number from 0 (the average image) to 1 (none).")
        w = self.style(draw.normal(*self.latent_shape), given)
        if truncation < 1:
            centre = self.centre(given)
            w = centre + truncation * (w - centre)
        return self.paint(w)

    @torch.no_grad()
    def centre(self, given: Given = NOTHING) -> Tensor:
        """The mean style of each image's class, (B, ...) or, without classes, (1, ...)."""
        half = torch.randn(CENTRE // 2, *self.latent_shape, generator=chance.generator("centre"))
        z = torch.cat([half, -half]).to(next(self.parameters()))
        if not self.classes:
            return self.style(z).mean(0, keepdim=True)
        labels, places = torch.unique(given["labels"], return_inverse=True)
        means = [self.style(z, {"labels": label.expand(len(z))}).mean(0) for label in labels]
        return torch.stack(means)[places]

    def directions(self, count: int) -> tuple[Tensor, Tensor]:
        """The directions of a style that the first layers answer most, (count, D) orthonormal, with their eigenvalues.

        The eigenvectors of A^T A with the largest eigenvalues, falling (Shen and Zhou 2021, arXiv:2007.06600,
        equation 4), A (M, D) the weights through which a style enters. A class beside the latent stands still.
        Of each vector and its opposite, the one whose largest value is positive. Raises a `UsageError` where
        `count` is not from 1 to the number of free values.
        """
        a = self._first().detach().double()
        beside = isinstance(self.mapping, Beside)
        free = self.latent_shape[0] if beside else a.shape[1]
        if not 1 <= count <= free:
            raise UsageError(f"{count} directions: this model's styles have {free}; give 1 to {free}.")
        a = a[:, :free]
        values, vectors = torch.linalg.eigh(a.mT @ a)  # rising, in columns
        rows = vectors.mT.flip(0)[:count]
        rows = rows * rows.gather(1, rows.abs().argmax(1, keepdim=True)).sign()
        rows = pad(rows, (0, self.classes)) if beside else rows
        return rows.to(self._first().dtype), values.flip(0)[:count]

    def _first(self) -> Tensor:
        """The weights (M, D) through which a style enters: the network's word, else its first linear layer's."""
        if hasattr(self.net, "first"):
            weights: Tensor = self.net.first()  # type: ignore[operator]
            return weights
        return next(part.weight for part in self.net.modules() if isinstance(part, nn.Linear))


class Beside(nn.Module):
    """No mapping network: the style is the latent with its class beside it as a one-hot vector.

    A linear layer on the style then holds one vector a class: an embedding. The label -1, of an image
    whose class is not known, is a vector of zeros.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return z if labels is None else torch.cat([z, told(labels, self.classes).to(z.dtype)], 1)


def check_latent(latent: int) -> int:
    """`latent` itself, or a sentence where no noise is left to draw from."""
    if latent < 1:
        raise UsageError(f"A generator's latent size is {latent}; give 1 or more.")
    return latent
