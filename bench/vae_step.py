"""A training step of the vae recipe, beside pythae's with the same layers.

    python -m bench vae_step [--batch 64] [--side 32] [--rounds 5] [--threads 2] [--device cpu]

Ours takes a whole step of the training loop, with the moving average and the logistic likelihood of the recipe;
pythae takes that of its BaseTrainer for each batch, with its squared error.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from bench.work import Work, images

GOALS = {"pythae": 1.3}
WIDTH, HIDDEN, LATENT, CORE = 32, 512, 64, 4  # as in the recipe; the core's sides are in px


def triptych(batch: int, side: int, device: str) -> Work:
    from bench.ours import training

    return training("vae", batch, side, device)


def layers(side: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Images (B, 3, H, W) to (B, HIDDEN), and latents (B, LATENT) to images."""
    widths = [3, *(WIDTH * 2**step for step in range((side // CORE).bit_length() - 1))]
    core = widths[-1] * CORE * CORE
    down = [(nn.Conv2d(a, b, 4, 2, 1), nn.SiLU()) for a, b in itertools.pairwise(widths)]
    up = [(nn.SiLU(), nn.ConvTranspose2d(a, b, 4, 2, 1)) for a, b in itertools.pairwise(widths[::-1])]
    encoder = nn.Sequential(*itertools.chain(*down), nn.Flatten(), nn.Linear(core, HIDDEN), nn.SiLU())
    first = (nn.Linear(LATENT, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, core), nn.Unflatten(1, (widths[-1], CORE, CORE)))
    return encoder, nn.Sequential(*first, *itertools.chain(*up))


def pythae(batch: int, side: int, device: str) -> Work:
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.head = layers(side)[0], nn.Linear(HIDDEN, 2 * LATENT)

        def forward(self, x: torch.Tensor) -> ModelOutput:
            mean, log_variance = self.head(self.trunk(x)).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = layers(side)[1]

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.net(z))

    model = VAE(VAEConfig(input_dim=(3, side, side), latent_dim=LATENT), Encoder(), Decoder()).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x = images(batch, side, device)

    def step() -> None:
        loss = model({"data": x}).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()

    return Work(step, batch, "pythae", (model,))


def main() -> None:
    from bench.contest import compete

    compete("vae_step", GOALS, batch=64, side=32, device="cpu")


if __name__ == "__main__":
    main()
