"""The hierarchical VAE: many levels of latents, coarse to fine, the likelihood model of the family.

p(x) = integral of p(x | z) prod_l p(z_l | z_<l), with a posterior q(z_l | z_<l, x) at each level, in the line of
Child 2021 (arXiv:2011.10650); `topdown.py` has the networks.

Notation: B batch, C channels, H W image sides, L levels, D latents of all levels, K draws; x image in [-1, 1],
e noise (B, D), of which the latents of each level are made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Likelihood, Model, Shape
from triptych.errors import UsageError
from triptych.labels import classes_of
from triptych.nets.conv import ladder
from triptych.vae.likelihood import Noise, NoiseNode
from triptych.vae.model import check_sampling, class_rows
from triptych.vae.posterior import Posterior
from triptych.vae.topdown import BottomUp, TopDown


class Inferred(NamedTuple):
    """What one walk down with an image in view found."""

    answers: Tensor  # (B, A, H, W), for the noise of the pixels
    q: Posterior  # of e, (B, D); each level's given the draws of those before
    e: Tensor  # (B, D)


class HierarchicalVae(Model):
    """Latents e (B, D): the noise of all levels one after the other, smallest side first, N(0, I) under the model.

    `split` takes them apart into `levels`. The encoder turns images into what is seen of them at each side;
    the decoder walks down the levels (`TopDown`), with that in view or without.
    """

    def __init__(
        self, image_shape: Shape, encoder: nn.Module, decoder: TopDown, noise: Noise, classes: int = 0
    ) -> None:
        super().__init__()
        self.image_shape, self.classes = image_shape, classes
        self.encoder, self.decoder, self.noise = encoder, decoder, noise
        self.levels = decoder.shapes  # (Z, h, w) of each
        self.latent_shape = (sum(math.prod(shape) for shape in self.levels),)

    def split(self, e: Tensor) -> list[Tensor]:
        """Numbers of all latents (B, D) as those of each level, [(B, Z, h, w)]."""
        parts = torch.split(e, [math.prod(shape) for shape in self.levels], 1)
        return [part.view(-1, *shape) for part, shape in zip(parts, self.levels, strict=True)]

    def infer(self, seen: Sequence[Tensor], noise: Tensor, given: Given = NOTHING) -> Inferred:
        """Walk down with what the encoder has `seen`, drawing from the posteriors with `noise` (B, D).

        Images whose class is not given are of one that is not known.
        """
        known = given if "labels" in given else {"labels": torch.full((len(noise),), -1, device=noise.device)}
        answers, drawn = self.decoder(self.split(noise), class_rows(known, self.classes, noise), seen)
        mean, log_variance, e = (
            torch.cat([part.flatten(1) for part in parts], 1)
            for parts in zip(*((found.q.mean, found.q.log_variance, found.e) for found in drawn), strict=True)
        )
        return Inferred(answers, Posterior(mean, log_variance), e)

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Latents (B, D) to the mean of p(x | z), (B, C, H, W) in [-1, 1]."""
        return self.noise.mean(self._answers(z, given))

    def sample(self, draw: Draw, given: Given = NOTHING, temperature: float = 1.0, pixels: str = "mean") -> Tensor:
        """New images (B, C, H, W): the deviations of every level's prior are multiplied by `temperature`.

        `pixels` "mean" shows the decoder's mean; "draw" adds the noise of each pixel, which is what the
        likelihood is about. Raises a `UsageError` for a temperature outside (0, 2] or other words.
        """
        check_sampling(temperature, pixels)
        answers = self._answers(temperature * draw.normal(*self.latent_shape), given)
        return self.noise.mean(answers) if pixels == "mean" else self.noise.draw(answers, draw)

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images to latents (B, D): each level's mean given the means before, or draws where `draw` is given."""
        return self.infer(self.encoder(x), self._noise(x, draw), given).e

    def reconstruct(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images (B, C, H, W) encoded and decoded again."""
        return self.decode(self.encode(x, given, draw), given)

    def spent(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """KL(q || prior) of each latent in nats, (B, D), along the means, or along a draw where `draw` is given."""
        return self.infer(self.encoder(x), self._noise(x, draw), given).q.kl()

    def log_likelihood(self, x: Tensor, draw: Draw, given: Given = NOTHING, samples: int = 8) -> Likelihood:
        """Lower bound on log p(x) from `samples` = K weighted draws of all levels together, nats (B,).

        log 1/K sum_k p(x | e_k) p(e_k) / q(e_k | x) (Burda et al. 2015, arXiv:1509.00519, equation 8): the
        plain bound at K = 1, tighter on average for every K more.
        """
        if samples < 1:
            raise UsageError(f"The bound was asked for with {samples} samples; it takes 1 or more.")
        seen = self.encoder(x)
        weights = [self.log_weight(x, seen, self._noise(x, draw), given) for _ in range(samples)]
        return Likelihood(torch.stack(weights).logsumexp(0) - math.log(samples), bound=True)

    def log_weight(self, x: Tensor, seen: Sequence[Tensor], noise: Tensor, given: Given = NOTHING) -> Tensor:
        """log p(x | e) p(e) / q(e | x) at the draw of q that `noise` (B, D) makes, (B,) in nats."""
        found = self.infer(seen, noise, given)
        kl = 0.5 * (found.e**2 - noise**2 - found.q.log_variance)  # of each latent, at this draw
        return self.noise.log_prob(x, found.answers) - kl.sum(1)

    def _answers(self, e: Tensor, given: Given) -> Tensor:
        answers: Tensor = self.decoder(self.split(e), class_rows(given, self.classes, e))[0]
        return answers

    def _noise(self, x: Tensor, draw: Draw | None) -> Tensor:
        """Noise (B, D) that makes draws of the posteriors, or zeros, which make their means."""
        return x.new_zeros(len(x), *self.latent_shape) if draw is None else draw.normal(*self.latent_shape).to(x)


def hvae(
    image_shape: Shape,
    classes: int,
    noise: NoiseNode,
    levels: tuple[int, ...] = (1, 2, 4, 4),
    width: int = 64,
    latent: int = 8,
    core: int = 4,
    conditional: bool = False,
) -> HierarchicalVae:
    """`levels` at the image's side, at half of it, and so on down to a core of `core` to 2 `core` - 1 px.

    The last number holds for all smaller sides; a small image has fewer sides than there are numbers. The way
    up has half as many blocks, rounded up. `conditional`: the top of the way down is told the class.
    """
    if min(levels, default=0) < 1 or latent < 1 or width < 1:
        raise UsageError(f"levels are {list(levels)}, width {width}, latent {latent}: give 1 or more of each.")
    sides = ladder(image_shape[1:], core)
    counts = [levels[min(step, len(levels) - 1)] for step in range(len(sides))]
    known = classes_of(conditional, classes)
    encoder = BottomUp(image_shape[0], sides, [(count + 1) // 2 for count in counts], width)
    decoder = TopDown(noise.answers, sides, counts, width, latent, known)
    return HierarchicalVae(image_shape, encoder, decoder, noise, known)
