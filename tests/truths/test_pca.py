"""Probabilistic PCA: the one VAE whose best weights, posterior and likelihood are known."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal

from triptych.chance import Draw
from truths.affine import best_vae, bound, highest_likelihood, trained, whitened

VARIANCES = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.1], dtype=torch.float64)
AXES = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).Q
X = (whitened(256, VARIANCES) @ AXES.T)[:, :, None, None]  # (256, 5, 1, 1)


@pytest.mark.parametrize("latent", [1, 2, 3])
def test_at_the_optimum_the_bound_is_the_likelihood(latent: int) -> None:
    """Three ways, to 1e-12: by the eigenvalues, by the Gaussian of the images, and by the model's own draws."""
    model, v = best_vae(VARIANCES, AXES, latent), float(VARIANCES[latent:].mean())
    weight = model.decoder.net[0].weight.detach()  # type: ignore[union-attr,index]
    marginal = MultivariateNormal(torch.zeros(5).double(), weight @ weight.T + v * torch.eye(5).double())
    truth = highest_likelihood(VARIANCES, latent)
    assert float(marginal.log_prob(X.flatten(1)).mean()) == pytest.approx(truth, rel=1e-12)
    assert bound(model, X) == pytest.approx(truth, rel=1e-12)
    with torch.no_grad():
        drawn = model.log_likelihood(X, Draw(range(len(X))), samples=1).nats
    assert float(drawn.mean()) == pytest.approx(truth, rel=1e-12)


def test_no_other_weights_have_a_higher_bound() -> None:
    best, truth = best_vae(VARIANCES, AXES, 2), highest_likelihood(VARIANCES, 2)
    for parameter in best.parameters():
        for sign in (-1, 1):
            with torch.no_grad():
                parameter += sign * 0.01
                assert bound(best, X) < truth
                parameter -= sign * 0.01


def test_training_finds_it() -> None:
    """To 1e-4 nats. The columns of W have lengths sqrt(l_j - v), and posteriors the variance v / l_j."""
    v = float(VARIANCES[2:].mean())
    many = (whitened(4096, VARIANCES) @ AXES.T)[:, :, None, None]
    model, _ = trained(many, 2, v, steps=300, rate=0.2)
    assert 0 <= highest_likelihood(VARIANCES, 2) - bound(model, X) < 1e-4
    lengths = torch.linalg.svdvals(model.decoder.net[0].weight.detach())  # type: ignore[union-attr,index]
    torch.testing.assert_close(lengths, (VARIANCES[:2] - v).sqrt(), rtol=0.01, atol=0)
    variances = model.posterior(X).log_variance[0].exp().detach().sort().values
    torch.testing.assert_close(variances, v / VARIANCES[:2], rtol=0.02, atol=0)


@pytest.mark.parametrize(("beta", "active"), [(1.0, 4), (7.0, 2)])
def test_a_latent_collapses_iff_it_varies_at_most_beta_times_the_noise(beta: float, active: int) -> None:
    """With a decoder of fixed variance v, beta v stands in the place of v."""
    noise = 0.2
    model, stats = trained(X, 5, noise, beta)
    assert int(stats["active"]) == active == int((VARIANCES > beta * noise).sum())
    optimum = (VARIANCES - beta * noise).clamp(min=0)
    found = torch.linalg.svdvals(model.decoder.net[0].weight.detach()) ** 2  # type: ignore[union-attr,index]
    torch.testing.assert_close(found, optimum, rtol=0.05, atol=0.02)
