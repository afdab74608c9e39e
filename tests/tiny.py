"""The one override that shrinks each model of the catalogue, and the batch that goes with it."""

from __future__ import annotations

CODED = ["model.width=4", "model.blocks=1", "model.prior_width=8", "model.heads=2", "model.depth=1"]
SMALL = ["model.net.width=8", "model.net.blocks=1"]


def fast(turn: str) -> list[str]:
    """What makes a turn of a few steps tell."""
    return [f"optimisers.{turn}.rate=0.01", f"optimisers.{turn}.ramp=always"]


FAST = fast("denoise")
TINY = {
    "mlp-gan": ["model.latent=8"],
    "dcgan": ["model.width=4", "objective.critic.width=4", "model.latent=8"],
    "wgan": ["model.width=4", "objective.critic.width=4", "model.latent=8"],
    "wgan-gp": ["model.width=4", "objective.critic.width=4", "model.latent=8"],
    "sngan": ["model.width=4", "objective.critic.width=4", "model.latent=8"],
    "r3gan": [f"{player}.{size}" for player in ("model", "objective.critic") for size in ("width=8", "blocks=1")],
    "progressive": ["model.width=8", "model.latent=8", "objective.critic.width=8"],
    "stylegan2": ["model.width=8", "model.latent=8", "model.depth=2", "objective.critic.width=8"],
    "autoencoder-kl": ["model.width=8"],
    "hvae": ["model.width=8", "model.levels=[1]", "model.latent=2", "model.noise.parts=2"],
    "vae": ["model.width=4", "model.latent=4"],
    "latent-flow": ["model.codec.width=4", "model.codec.latent=4", "model.prior.net.width=16", "objective.switch=480"],
    "vqvae": [*CODED, "model.quantiser.codes=8", "model.quantiser.features=4"],
    "fsq": [*CODED, "model.quantiser.levels=[4, 3]"],
    **{name: [*SMALL, *FAST] for name in ("ddpm", "iddpm", "edm", "flow", "flow-text", "upscale", "colorize")},
    "consistency": [*SMALL, *fast("consistency")],
    "consistency-gan": [*SMALL, "objective.second.critic.width=8", *fast("consistency")],
    "meanflow": [*SMALL, *fast("mean")],
    "dit": ["model.net.width=16", "model.net.depth=1", "model.net.heads=2", *FAST],
}
BATCH = 16
