"""Auto-encoders whose latents are codes, and a prior over them (van den Oord et al. 2017, arXiv:1711.00937).

Notation: B batch, C channels, H W image sides, h w grid sides, D features, K codes; x image in [-1, 1];
z the codes' vectors (B, D, h, w), c the codes (B, h, w). The decoder gives the mean of p(x | c), a Gaussian of
one learned deviation a channel (Rybkin et al. 2021, arXiv:2006.13202).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Likelihood, Model, Shape
from triptych.labels import classes_of
from triptych.nets.grid import GridDecoder, GridEncoder, grid_of
from triptych.nets.transformer import Transformer
from triptych.vae.codeprior import CodePrior
from triptych.vae.densities import STEP
from triptych.vae.quantisers import BaseQuantiser, Quantiser

START = 0.1  # the learned deviation before training: about the error of a good reconstruction


class CodedVae(Model):
    """An encoder to (B, D, h, w), a quantiser, a decoder to (B, C, H, W), and a prior that alone hears classes."""

    def __init__(
        self,
        image_shape: Shape,
        classes: int,
        encoder: nn.Module,
        quantiser: BaseQuantiser,
        decoder: nn.Module,
        prior: CodePrior,
    ) -> None:
        super().__init__()
        self.image_shape, self.classes = image_shape, classes
        self.latent_shape = (quantiser.features, *prior.sides)
        self.encoder, self.quantiser, self.decoder, self.prior = encoder, quantiser, decoder, prior
        self.log_scale = nn.Parameter(torch.full((image_shape[0], 1, 1), math.log(START)))

    def scale(self) -> Tensor:
        """Standard deviation of p(x | c), (C, 1, 1): never below half a uint8 step."""
        return STEP / 2 + self.log_scale.exp()

    def codes(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) to codes (B, h, w)."""
        codes: Tensor = self.quantiser(self.encoder(x)).codes
        return codes

    def log_noise(self, x: Tensor, z: Tensor) -> Tensor:
        """A lower bound on log p(x | c) of uint8 images, (B,) in nats, from vectors (B, D, h, w).

        The probability of a value is the density's integral over its bin, at least STEP times the exponential
        of the log-density's mean there (Jensen), which spreads the square error by STEP^2 / 12.
        """
        error = (x - self.decoder(z).to(x.dtype)).square() + STEP**2 / 12  # (B, C, H, W)
        scale = self.scale()
        nats = math.log(STEP) - 0.5 * math.log(2 * math.pi) - scale.log() - 0.5 * error / scale**2
        total: Tensor = nats.flatten(1).sum(1)
        return total

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Vectors (B, D, h, w), of codes or between them, to the mean of p(x | c) in [-1, 1], (B, C, H, W)."""
        mean: Tensor = self.decoder(z)
        return mean.clamp(-1, 1)

    @torch.no_grad()
    def sample(
        self,
        draw: Draw,
        given: Given = NOTHING,
        temperature: float = 1.0,
        sampler: str | None = None,
        steps: int | None = None,
    ) -> Tensor:
        """New images (B, C, H, W): codes of the prior, then the decoder's mean, without pixel noise.

        `temperature` multiplies the chance in each code: 1 is the prior's own, 0 takes the likeliest. A masked
        prior fills in the codes in `steps` steps, the `confident` first or in `raster` order; the other kind has
        one order and one step a code. Raises a `UsageError` for what there is not.
        """
        codes = self.prior.sample(draw, given, temperature, sampler, steps)
        return self.decode(self.quantiser.vectors(codes), given)

    @torch.no_grad()
    def drawn(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        """The vectors (B, D, h, w) of codes that the prior draws."""
        return self.quantiser.vectors(self.prior.sample(draw, given))

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images to their codes' vectors (B, D, h, w). Codes are a function of the image: `draw` changes nothing."""
        vectors: Tensor = self.quantiser(self.encoder(x)).vectors
        return vectors

    def reconstruct(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images (B, C, H, W) encoded and decoded again."""
        return self.decode(self.encode(x, given, draw), given)

    def log_likelihood(self, x: Tensor, draw: Draw, given: Given = NOTHING) -> Likelihood:
        """log p(x | c) + log p(c) at the image's own codes, nats (B,): one term of a sum over all codes is a bound."""
        codes = self.codes(x)
        nats = self.log_noise(x, self.quantiser.vectors(codes)) + self.prior.log_prob(codes, given)
        return Likelihood(nats, bound=True)


def coded(
    image_shape: Shape,
    classes: int,
    quantiser: Quantiser,
    width: int = 128,
    blocks: int = 2,
    core: int = 8,
    prior_width: int = 256,
    depth: int = 4,
    heads: int = 4,
    dropout: float = 0.1,
    masked: bool = False,
    conditional: bool = False,
) -> CodedVae:
    """Residual encoder and decoder around a grid of codes, and a transformer over the grid.

    `core` is the grid's side (to 2 `core` - 1), at most half of the image's shorter side; `width` and `blocks`
    are of encoder and decoder, `prior_width`, `depth`, `heads` and `dropout` of the prior. `masked` priors fill in
    many codes at once; `conditional` ones take a label for each image. Raises a `UsageError` for values that
    make no network, and for a conditional model of images without classes.
    """
    classes = classes_of(conditional, classes)
    sides = grid_of(image_shape, core)
    size = (image_shape[0], sides, quantiser.features, width, blocks)
    places = math.prod(sides[-1])
    net = Transformer(quantiser.codes, places, classes, prior_width, depth, heads, dropout, causal=not masked)
    prior = CodePrior(net, sides[-1])
    return CodedVae(image_shape, classes, GridEncoder(*size), quantiser, GridDecoder(*size), prior)
