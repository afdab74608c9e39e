"""A training step of the ddpm recipe's U-Net, beside the networks of diffusers and of denoising-diffusion-pytorch.

    python -m bench unet_step [--batch 32] [--side 32] [--rounds 5] [--threads 2] [--device cpu]

The networks have the architecture of Ho et al. (2020, appendix B), and are trained on the same batch with the same
dropout and gradient clipping. Ours takes a whole step of the training loop, with noise, loss, Adam and moving average.
diffusers takes the step of its tutorials, without a moving average, and once more in its best setting (`theirs.py`).
denoising-diffusion-pytorch takes the step of its Trainer, without the average; its blocks are its own, without dropout,
and its sizes are those that come nearest to as much work.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import theirs
from bench.work import Work, images

GOALS = {"diffusers": 1.6, "diffusers_best": 1.1, "denoising_diffusion_pytorch": 1.3}


def triptych(batch: int, side: int, device: str) -> Work:
    from bench.ours import training

    return training("ddpm", batch, side, device)


def unet(side: int, dropout: float = 0.1) -> nn.Module:
    """The network of the recipe ddpm as diffusers has it."""
    from diffusers import UNet2DModel

    model: nn.Module = UNet2DModel(
        sample_size=side,
        layers_per_block=2,
        block_out_channels=(64, 128, 128, 128),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,  # one head, as in the paper
        dropout=dropout,
    )
    return model


def noise_in(model: nn.Module, noisy: Tensor, times: Tensor) -> Tensor:
    answer: Tensor = model(noisy, times, return_dict=False)[0]
    return answer


def diffusers(batch: int, side: int, device: str) -> Work:
    return theirs.usual(lambda: unet(side), noise_in, batch, side, device)


def diffusers_best(batch: int, side: int, device: str) -> Work:
    return theirs.best(lambda: unet(side), noise_in, batch, side, device)


def denoising_diffusion_pytorch(batch: int, side: int, device: str) -> Work:
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    attention = {"full_attn": (False, True, False, False), "attn_heads": 2, "attn_dim_head": 24}
    net = Unet(dim=72, init_dim=80, dim_mults=(1, 2, 2, 2), **attention)
    model = GaussianDiffusion(net, image_size=side, objective="pred_noise").to(device)
    optimiser = torch.optim.Adam(model.parameters(), lr=8e-5, betas=(0.9, 0.99))
    x = (images(batch, side, device) + 1) / 2

    def step() -> None:
        model(x).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return Work(step, batch, "denoising_diffusion_pytorch", (net,))


def main() -> None:
    from bench.contest import compete

    compete("unet_step", GOALS, batch=32, side=32, device="cpu")


if __name__ == "__main__":
    main()
