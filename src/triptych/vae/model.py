"""The variational auto-encoder of Kingma and Welling 2013 (arXiv:1312.6114), convolutional.

Notation: B batch, C channels, H W image sides, D latents, K draws; x image in [-1, 1], z latent.
The prior is p(z) = N(0, I), the posterior q(z | x) a diagonal Gaussian, and the decoder gives
the location of p(x | z), whose scale is learned, one number a channel (Rybkin et al. 2021,
arXiv:2006.13202). Images with alpha are scored as they are seen: premultiplied.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Likelihood, Model, Shape
from triptych.errors import UsageError
from triptych.nets.conv import ConvDecoder, ConvEncoder
from triptych.vae.likelihood import STEP, Noise, logistic
from triptych.vae.posterior import Posterior

START = 0.2  # the learned scale before training: the error of a rough reconstruction
LIMIT = 10.0  # |log variance| of the posterior stays below this, so that no step overflows


class Vae(Model):
    """An encoder (B, C, H, W) -> (B, 2 D), a decoder (B, D) -> (B, C, H, W) and the noise between.

    The encoder's output is the posterior's mean and log-variance side by side.
    """

    classes = 0

    def __init__(self, image_shape: Shape, latent: int, encoder: nn.Module, decoder: nn.Module, noise: Noise) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.latent_shape = (latent,)
        self.encoder = encoder
        self.decoder = decoder
        self.noise = noise
        self.log_scale = nn.Parameter(torch.full((image_shape[0], 1, 1), math.log(START)))

    def scale(self) -> Tensor:
        """Standard deviation of p(x | z), (C, 1, 1): never below half a uint8 step."""
        return STEP / 2 + self.log_scale.exp()

    def posterior(self, x: Tensor) -> Posterior:
        """q(z | x) for images (B, C, H, W) in [-1, 1]."""
        mean, raw = self.encoder(x).to(x.dtype).chunk(2, dim=1)  # (B, D), (B, D)
        return Posterior(mean, LIMIT * (raw / LIMIT).tanh())

    def log_noise(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z) for images (B, C, H, W) and latents (B, D), (B,) in nats."""
        return self.noise(x, self.decoder(z).to(x.dtype), self.scale()).flatten(1).sum(1)

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Latents (B, D) to the location of p(x | z), clamped to [-1, 1], (B, C, H, W)."""
        location: Tensor = self.decoder(z)
        return location.clamp(-1, 1)

    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        """New images (B, C, H, W): z ~ N(0, I), then the mean of the decoder, without pixel noise."""
        return self.decode(draw.normal(*self.latent_shape))

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images to latents (B, D): the posterior's mean, or a draw from it where `draw` is given."""
        posterior = self.posterior(x)
        if draw is None:
            return posterior.mean
        return posterior.at(draw.normal(*self.latent_shape).to(x.dtype))

    def spent(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        """KL(q(z | x) || N(0, I)) of each latent for each image, (B, D) in nats."""
        return self.posterior(x).kl()

    def reconstruct(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images (B, C, H, W) encoded and decoded again."""
        return self.decode(self.encode(x, given, draw), given)

    def log_likelihood(self, x: Tensor, draw: Draw, given: Given = NOTHING, samples: int = 64) -> Likelihood:
        """Lower bound on log p(x) from `samples` = K weighted draws of z, nats (B,).

        log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x) (Burda et al. 2015, arXiv:1509.00519,
        equation 8): the plain bound at K = 1, tighter on average for every K more.
        """
        if samples < 1:
            raise UsageError(f"The bound was asked for with {samples} samples; it takes 1 or more.")
        posterior = self.posterior(x)
        noise = draw.normal(samples, *self.latent_shape).to(x.dtype)  # (B, K, D)
        weights = [self.log_noise(x, posterior.at(e)) + posterior.log_ratio(e) for e in noise.unbind(1)]
        nats = torch.stack(weights).logsumexp(0) - math.log(samples)  # (K, B) -> (B,)
        return Likelihood(nats, bound=True)


def vae(
    image_shape: Shape,
    latent: int = 64,
    width: int = 64,
    hidden: int = 512,
    core: int = 4,
    dropout: float = 0.0,
    noise: Noise = logistic,
) -> Vae:
    """A ladder of convolutions and one hidden layer on each side, without normalisation.

    `width` is the channels beside the image, doubled at each step down to a core of `core` to
    2 `core` - 1 px; `hidden` is the layer between core and latents; `dropout` follows every
    activation of both sides, for data sets so small that the bound on new images suffers.
    """
    if min(latent, hidden) < 1 or not 0 <= dropout < 1:
        raise UsageError(f"latent is {latent}, hidden {hidden}, dropout {dropout}: give 1 or more, 1 or more, [0, 1).")

    def activation() -> nn.Module:
        return nn.Sequential(nn.SiLU(), nn.Dropout(dropout)) if dropout else nn.SiLU()

    down = ConvEncoder(image_shape, width, norm=False, activation=activation, core=core)
    up = ConvDecoder(hidden, image_shape, width, norm=False, activation=activation, core=core)
    to_hidden, to_posterior = nn.Linear(down.features, hidden), nn.Linear(hidden, 2 * latent)
    encoder = nn.Sequential(down, to_hidden, activation(), to_posterior)
    decoder = nn.Sequential(nn.Linear(latent, hidden), activation(), up)
    return Vae(image_shape, latent, encoder, decoder, noise)
