"""A training step of the dit recipe's transformer, beside diffusers'.

    python -m bench dit_step [--batch 32] [--side 32] [--rounds 5] [--threads 2] [--device cpu]

Both have 8 blocks of 256 features and 4 heads over patches of 2 px. diffusers' has a tenth more parameters, for each of
its blocks embeds the time anew, on one vector an image, which costs no time that counts: the operations are the same.
Ours takes a whole step of the training loop, with the moving average; diffusers takes that of its tutorials.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import theirs
from bench.work import Work

GOALS = {"diffusers": 1.6, "diffusers_best": 1.1}


def triptych(batch: int, side: int, device: str) -> Work:
    from bench.ours import training

    return training("dit", batch, side, device)


def dit(side: int) -> nn.Module:
    """The network of the recipe dit as diffusers has it."""
    from diffusers import DiTTransformer2DModel

    model: nn.Module = DiTTransformer2DModel(
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=3,
        num_layers=8,
        sample_size=side,
        patch_size=2,
        num_embeds_ada_norm=1,  # the one class of all images
    )
    return model


def noise_in(model: nn.Module, noisy: Tensor, times: Tensor) -> Tensor:
    labels = torch.zeros_like(times)
    answer: Tensor = model(noisy, timestep=times, class_labels=labels, return_dict=False)[0]
    return answer


def diffusers(batch: int, side: int, device: str) -> Work:
    return theirs.usual(lambda: dit(side), noise_in, batch, side, device)


def diffusers_best(batch: int, side: int, device: str) -> Work:
    return theirs.best(lambda: dit(side), noise_in, batch, side, device)


def main() -> None:
    from bench.contest import compete

    compete("dit_step", GOALS, batch=32, side=32, device="cpu")


if __name__ == "__main__":
    main()
