"""The variational auto-encoder of Kingma and Welling 2013 (arXiv:1312.6114).

An encoder gives the posterior q(z | x), a diagonal Gaussian; a prior p(z) and a decoder with its noise p(x | z)
are the generative model. Images with alpha are scored as they are seen: premultiplied.

Notation: B batch, C channels, H W image sides, D latents, K draws; x image in [-1, 1], z latent (B, ...).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Given, Likelihood, Model, Shape
from triptych.errors import UsageError
from triptych.labels import classes_of, told
from triptych.nets.coder import Down, Up, features
from triptych.nets.conv import ConvDecoder, ConvEncoder, ladder
from triptych.nets.dropout import Dropout
from triptych.vae.likelihood import Noise, NoiseNode
from triptych.vae.posterior import Posterior, posterior_of
from triptych.vae.prior import Normal, Prior, PriorNode


class Vae(Model):
    """q(z | x) = encoder(x), p(z) = prior, p(x | z) = noise around decoder(z, class).

    `encoder` takes (B, C, H, W) to means and log-variances side by side, (B, 2 D, ...): it sees what an image is,
    and needs no class. `decoder` takes z and the classes as one-hot rows (B, classes), without classes (B, 0), to
    the numbers that `noise` needs. The prior in the bound is `prior`. Where there is a `fitted` one, learned
    afterwards or along without moving the encoder, images are drawn from it and scored by it: it and the decoder
    are then the generative model.
    """

    def __init__(
        self,
        image_shape: Shape,
        latent_shape: tuple[int, ...],
        encoder: nn.Module,
        decoder: nn.Module,
        noise: Noise,
        prior: Prior | None = None,
        fitted: Prior | None = None,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.image_shape, self.latent_shape, self.classes = image_shape, latent_shape, classes
        self.encoder, self.decoder, self.noise = encoder, decoder, noise
        self.prior, self.fitted = prior or Normal(), fitted

    def posterior(self, x: Tensor) -> Posterior:
        """q(z | x) for images (B, C, H, W) in [-1, 1]."""
        return posterior_of(self.encoder(x).to(x.dtype))

    def kl(self, q: Posterior, z: Tensor) -> Tensor:
        """What the posteriors cost, given one draw z of each: (B, D) nats, or (B, 1) where no latent has its own."""
        return self.prior.kl(q, z, self.posterior)

    def log_noise(self, x: Tensor, z: Tensor, given: Given = NOTHING) -> Tensor:
        """log p(x | z) for images (B, C, H, W) and latents, (B,) in nats."""
        return self.noise.log_prob(x, self.decoder(z, self._rows(given, z)))

    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Latents to the mean of p(x | z), (B, C, H, W) in [-1, 1]."""
        return self.noise.mean(self.decoder(z, self._rows(given, z)))

    def sample(self, draw: Draw, given: Given = NOTHING, temperature: float = 1.0, pixels: str = "mean") -> Tensor:
        """New images (B, C, H, W): z from the prior, whose deviations are multiplied by `temperature`.

        `pixels` "mean" shows the decoder's mean; "draw" adds the noise of each pixel, which is what the
        likelihood is about. Raises a `UsageError` for a temperature outside (0, 2] or other words.
        """
        check_sampling(temperature, pixels)
        z = self.drawn(draw, given, temperature)
        if pixels == "mean":
            return self.decode(z, given)
        return self.noise.draw(self.decoder(z, self._rows(given, z)), draw)

    def drawn(self, draw: Draw, given: Given = NOTHING, temperature: float = 1.0) -> Tensor:
        """Latents (B, *latent_shape) of the prior that images are drawn from."""
        return (self.fitted or self.prior).draw(draw, self.latent_shape, self.posterior, temperature)

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images to latents: the posterior's mean, or a draw from it where `draw` is given."""
        q = self.posterior(x)
        return q.mean if draw is None else q.at(draw.normal(*self.latent_shape).to(x.dtype))

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
        q = self.posterior(x)
        noise = draw.normal(samples, *self.latent_shape).to(x.dtype)  # (B, K, ...)
        latents = [q.at(n) for n in noise.unbind(1)]
        weights = [self.log_noise(x, z, given) + self.log_prior(z) - q.log_prob(z) for z in latents]
        return Likelihood(torch.stack(weights).logsumexp(0) - math.log(samples), bound=True)

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z) under the prior that images are drawn from, (B,) in nats."""
        return (self.fitted or self.prior).log_prob(z, self.posterior)

    def log_weight(self, x: Tensor, q: Posterior, z: Tensor, given: Given = NOTHING) -> Tensor:
        """log p(x | z) p(z) / q(z | x), (B,) in nats, with the prior of training: its mean over q is the bound."""
        return self.log_noise(x, z, given) + self.prior.log_prob(z, self.posterior) - q.log_prob(z)

    def _rows(self, given: Given, like: Tensor) -> Tensor:
        return class_rows(given, self.classes, like)


def class_rows(given: Given, classes: int, like: Tensor) -> Tensor:
    """The classes as one-hot rows (B, classes), zeros for the label -1."""
    if not classes:
        return like.new_zeros(len(like), 0)
    if "labels" not in given:
        raise UsageError("This model knows images by their class: give labels, one for each image.")
    return told(given["labels"], classes).to(like.dtype)


def check_sampling(temperature: float, pixels: str) -> None:
    """Raise a `UsageError` for a temperature outside (0, 2], or pixels that are neither the mean nor a draw."""
    if not 0 < temperature <= 2 or pixels not in ("mean", "draw"):
        raise UsageError(
            f"temperature is {temperature} and pixels {pixels!r}: give above 0 and at most 2, and mean or draw."
        )


class Told(nn.Module):
    """A network of vectors that are given the class beside them: z (B, D), rows (B, classes) -> net of both."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor, rows: Tensor) -> Tensor:
        y: Tensor = self.net(torch.cat([z, rows.to(z.dtype)], 1))
        return y


def vae(
    image_shape: Shape,
    classes: int,
    noise: NoiseNode,
    prior: PriorNode,
    fitted: PriorNode | None = None,
    latent: int = 64,
    width: int = 64,
    blocks: int = 0,
    hidden: int = 512,
    core: int = 4,
    dropout: float = 0.0,
    conditional: bool = False,
) -> Vae:
    """A ladder down to a core of `core` to 2 `core` - 1 px and one hidden layer on each side.

    `blocks` 0: one strided convolution a step, without norm, `width` features beside the image and twice as
    many at each step down; above, so many residual blocks at each size (`nets/coder.py`). `dropout` follows the
    activations of both sides, for data sets so small that the bound on new images suffers. `conditional`: the
    decoder is told the class (Kingma et al. 2014, arXiv:1406.5298, model M2).
    """
    if min(latent, hidden) < 1 or blocks < 0 or not 0 <= dropout < 1:
        raise UsageError(
            f"latent is {latent}, hidden {hidden}, blocks {blocks}, dropout {dropout}: "
            "give 1 or more, 1 or more, 0 or more, [0, 1)."
        )
    known = classes_of(conditional, classes)
    small = ladders if blocks == 0 else partial(residual, blocks=blocks)
    down, gathered, up = small(image_shape, noise.answers, hidden, width=width, core=core, dropout=dropout)
    act = activation(dropout)
    encoder = nn.Sequential(down, nn.Linear(gathered, hidden), act(), nn.Linear(hidden, 2 * latent))
    decoder = nn.Sequential(nn.Linear(latent + known, hidden), act(), up)
    own = fitted(image_shape, (latent,)) if fitted else None
    return Vae(image_shape, (latent,), encoder, Told(decoder), noise, prior(image_shape, (latent,)), own, known)


def activation(dropout: float) -> Callable[[], nn.Module]:
    """SiLU, with dropout after it where asked."""
    return (lambda: nn.Sequential(nn.SiLU(), Dropout(dropout))) if dropout else nn.SiLU


def ladders(
    image_shape: Shape, answers: int, hidden: int, width: int, core: int, dropout: float
) -> tuple[nn.Module, int, nn.Module]:
    """Strided convolutions (B, C, H, W) -> (B, F), F, and (B, hidden) -> (B, answers, H, W)."""
    act = activation(dropout)
    down = ConvEncoder(image_shape, width, norm=False, activation=act, core=core)
    up = ConvDecoder(hidden, (answers, *image_shape[1:]), width, norm=False, activation=act, core=core)
    return down, down.features, up


def residual(
    image_shape: Shape, answers: int, hidden: int, width: int, core: int, dropout: float, blocks: int
) -> tuple[nn.Module, int, nn.Module]:
    """The same of residual blocks."""
    sides = ladder(image_shape[1:], core)
    inner = (features(width, len(sides))[-1], *sides[-1])
    down = nn.Sequential(Down(image_shape[0], inner[0], sides, width, blocks, dropout), nn.Flatten())
    up = Up(inner[0], answers, sides, width, blocks, dropout)
    return down, math.prod(inner), nn.Sequential(nn.Linear(hidden, math.prod(inner)), nn.Unflatten(1, inner), up)
