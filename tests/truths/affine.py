"""VAEs of affine maps, in which all that is approximated elsewhere is linear algebra.

Probabilistic PCA (Tipping and Bishop 1999): z ~ N(0, I) of q values, x = W z + b + noise of variance v, of d values.
With l_1 > ... > l_d the eigenvalues and u_j the eigenvectors of the data's covariance, the likelihood is highest where
W has the columns sqrt(l_j - v) u_j, j <= q, and v is the mean of the other l_j.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from triptych.core import Batch
from triptych.vae.autoencoder import Untold
from triptych.vae.densities import STEP, Density
from triptych.vae.likelihood import Located
from triptych.vae.model import Vae
from triptych.vae.objective import Elbo


def density(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """Gaussian noise without bins, for which everything is linear algebra."""
    return Normal(location, scale).log_prob(x)


class Affine(nn.Module):
    """Images (B, D, 1, 1) to a posterior with a linear mean and the same variance for every image."""

    def __init__(self, pixels: int, latent: int) -> None:
        super().__init__()
        self.mean = nn.Linear(pixels, latent)
        self.log_variance = nn.Parameter(torch.zeros(latent))

    def forward(self, x: Tensor) -> Tensor:
        mean = self.mean(x.flatten(1))
        return torch.cat([mean, self.log_variance.expand_as(mean)], dim=1)


def linear_vae(pixels: int, latent: int, variance: float) -> Vae:
    """x | z ~ N(W z + b, variance), fixed; q(z | x) = N(A x + a, fixed diagonal); in float64."""
    decoder = nn.Sequential(nn.Linear(latent, pixels), nn.Unflatten(1, (pixels, 1, 1)))
    noise = Located(pixels, Density(density, torch.special.ndtri))
    model = Vae((pixels, 1, 1), (latent,), Affine(pixels, latent), Untold(decoder), noise).double()
    nn.init.constant_(noise.log_scale, math.log(math.sqrt(variance) - STEP / 2))
    return model


def whitened(count: int, variances: Tensor) -> Tensor:
    """Rows whose covariance is diag(variances) exactly and whose mean is zero."""
    rows = torch.randn(count, len(variances), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    orthonormal = torch.linalg.qr(rows - rows.mean(0)).Q
    return orthonormal * (count * variances).sqrt()


def highest_likelihood(variances: Tensor, latent: int) -> float:
    """ln p of an image, on average over the data: -(d ln 2 pi + sum_{j<=q} ln l_j + (d - q) ln v + d) / 2 nats."""
    kept, v = variances[:latent].log().sum(), variances[latent:].mean()
    d = len(variances)
    return -0.5 * float(d * math.log(2 * math.pi) + kept + (d - latent) * v.log() + d)


@torch.no_grad()
def best_vae(variances: Tensor, axes: Tensor, latent: int) -> Vae:
    """Probabilistic PCA's optimum as a VAE: its encoder is the exact posterior, of variance v / l_j."""
    v = variances[latent:].mean()
    model = linear_vae(len(variances), latent, float(v))
    kept, scale = variances[:latent], (variances[:latent] - v).sqrt()
    model.decoder.net[0].weight.copy_(axes[:, :latent] * scale)
    model.decoder.net[0].bias.zero_()
    model.encoder.mean.weight.copy_((axes[:, :latent] * scale / kept).T)
    model.encoder.mean.bias.zero_()
    model.encoder.log_variance.copy_(hidden((v / kept).log()))
    return model


def hidden(log_variance: Tensor) -> Tensor:
    """What the encoder's soft limit turns into this logarithm of a variance."""
    return 10 * (log_variance / 10).atanh()


@torch.no_grad()
def bound(model: Vae, x: Tensor, beta: float = 1.0) -> float:
    """The exact evidence lower bound of an affine VAE, nats an image: the mean over z is taken in closed form."""
    q, layer = model.posterior(x), model.decoder.net[0]
    v = float(model.noise.log_scale.exp().max() + STEP / 2) ** 2  # all are equal
    wrong = (x.flatten(1) - q.mean @ layer.weight.T - layer.bias).square().sum(1)
    spread = (q.log_variance.exp() * layer.weight.square().sum(0)).sum(1)
    seen = -0.5 * (x[0].numel() * math.log(2 * math.pi * v) + (wrong + spread) / v)
    return float((seen - beta * q.kl().sum(1)).mean())


def trained(
    x: Tensor, latent: int, v: float, beta: float = 1.0, steps: int = 500, rate: float = 0.1
) -> tuple[Vae, dict[str, Tensor]]:
    """An affine VAE after `steps` of Adam on all images (B, D, 1, 1) at once, and the numbers logged at last."""
    torch.manual_seed(0)
    model = linear_vae(x[0].numel(), latent, v)
    (turn,) = Elbo(beta).turns(model)
    optimiser = torch.optim.Adam([p for p in turn.moves if p is not model.noise.log_scale], rate)
    ramp = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    stats = {}
    for step in range(steps):
        losses, stats = turn.loss(Batch(x), step)
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        ramp.step()
    return model, dict(stats)
