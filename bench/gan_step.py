"""A training step of DCGAN, critic and generator, beside torchgan's.

    python -m bench gan_step [--batch 64] [--side 32] [--rounds 5] [--threads 2] [--device cpu]

Both players have the same layers (Radford et al. 2015, at 32 px and more) and play the non-saturating game with Adam.
Ours takes a whole step of the training loop, with the moving average; torchgan's step is what its Trainer does for each
batch, without logs.
"""

from __future__ import annotations

import torch
from torch import nn

from bench.work import Work, images

GOALS = {"torchgan": 1.3}


def triptych(batch: int, side: int, device: str) -> Work:
    from bench.ours import training

    return training("dcgan", batch, side, device)


def torchgan(batch: int, side: int, device: str) -> Work:
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import DCGANDiscriminator, DCGANGenerator

    generator = DCGANGenerator(out_size=side, nonlinearity=nn.ReLU()).to(device)
    critic = DCGANDiscriminator(in_size=side, last_nonlinearity=nn.Identity()).to(device)
    move, judge = (torch.optim.Adam(p.parameters(), lr=2e-4, betas=(0.5, 0.999)) for p in (generator, critic))
    generator_loss, critic_loss = MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()
    x = images(batch, side, device)

    def step() -> None:
        generator_loss.train_ops(generator, critic, move, x.device, batch)
        critic_loss.train_ops(generator, critic, judge, x, x.device)

    return Work(step, batch, "torchgan", (generator, critic))


def main() -> None:
    from bench.contest import compete

    compete("gan_step", GOALS, batch=64, side=32, device="cpu")


if __name__ == "__main__":
    main()
