"""A training step of the ddpm recipe's U-Net, beside the networks of diffusers and of denoising-diffusion-pytorch.

    python -m bench unet_step [--batch 32] [--side 32] [--rounds 5] [--threads 2] [--device cpu]

The networks have the architecture of Ho et al. (2020, appendix B), and are trained on the same batch with the same
dropout and gradient clipping. Ours takes a whole step of the training loop, with noise, loss, Adam and moving average.
diffusers takes the step of its tutorials, without a moving average; at its best, the fastest of float32 and bfloat16,
channels first and last, with a fused optimiser. denoising-diffusion-pytorch takes the step of its Trainer, without the
average; its blocks are its own, without dropout, and its sizes are those that come nearest to as much work.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.work import Work, fastest, images

GOALS = {"diffusers": 1.6, "diffusers_best": 1.1, "denoising_diffusion_pytorch": 1.3}
FORMATS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}


def triptych(batch: int, side: int, device: str) -> Work:
    from bench.ours import training

    return training("ddpm", batch, side, device)


def unet(side: int) -> nn.Module:
    """The network of the recipe ddpm as diffusers has it."""
    from diffusers import UNet2DModel

    model: nn.Module = UNet2DModel(
        sample_size=side,
        layers_per_block=2,
        block_out_channels=(64, 128, 128, 128),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,  # one head, as in the paper
        dropout=0.1,
    )
    return model


def noisy_step(model: nn.Module, x: Tensor, kind: torch.dtype, **how: Any) -> Callable[[], None]:
    """The step of diffusers' tutorial on training without conditions: the mean squared error of the noise."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-4, **how)

    def step() -> None:
        noise = torch.randn_like(x)
        times = torch.randint(0, 1000, (len(x),), device=x.device)
        noisy = scheduler.add_noise(x, noise, times)
        with torch.autocast(x.device.type, kind, enabled=kind != torch.float32):
            loss = nn.functional.mse_loss(model(noisy, times, return_dict=False)[0], noise)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return step


def diffusers(batch: int, side: int, device: str) -> Work:
    model = unet(side).to(device)
    return Work(noisy_step(model, images(batch, side, device), torch.float32), batch, "diffusers", (model,))


def diffusers_best(batch: int, side: int, device: str) -> Work:
    ways: dict[str, tuple[nn.Module, Callable[[], None]]] = {}
    for kind, (name, layout) in itertools.product((torch.float32, torch.bfloat16), FORMATS.items()):
        model = unet(side).to(device, memory_format=layout)  # type: ignore[call-overload]
        x = images(batch, side, device).contiguous(memory_format=layout)
        ways[f"{str(kind).removeprefix('torch.')}, {name}"] = model, noisy_step(model, x, kind, fused=True)
    how = fastest({name: step for name, (_, step) in ways.items()})
    return Work(ways[how][1], batch, "diffusers", ways[how][:1], how)


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
