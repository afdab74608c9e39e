"""The training step of diffusers' tutorials, as it stands there and in its best setting."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.work import Work, fastest, images

FORMATS = {"channels first": torch.contiguous_format, "channels last": torch.channels_last}
Answer = Callable[[nn.Module, Tensor, Tensor], Tensor]  # (network, noisy images, their steps) -> the noise


def step_of(model: nn.Module, answer: Answer, x: Tensor, kind: torch.dtype, **how: Any) -> Callable[[], None]:
    """Noise, the mean squared error of its estimate, clipping and AdamW, without a moving average."""
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-4, **how)

    def step() -> None:
        noise = torch.randn_like(x)
        times = torch.randint(0, 1000, (len(x),), device=x.device)
        noisy = scheduler.add_noise(x, noise, times)
        with torch.autocast(x.device.type, kind, enabled=kind != torch.float32):
            loss = nn.functional.mse_loss(answer(model, noisy, times), noise)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    return step


def usual(make: Callable[[], nn.Module], answer: Answer, batch: int, side: int, device: str) -> Work:
    """In float32, channels first."""
    model = make().to(device)
    step = step_of(model, answer, images(batch, side, device), torch.float32)
    return Work(step, batch, "diffusers", (model,), "float32, channels first")


def best(make: Callable[[], nn.Module], answer: Answer, batch: int, side: int, device: str) -> Work:
    """The fastest of float32 and bfloat16, channels first and last, with a fused optimiser."""
    ways: dict[str, tuple[nn.Module, Callable[[], None]]] = {}
    for kind, (name, layout) in itertools.product((torch.float32, torch.bfloat16), FORMATS.items()):
        model = make().to(device, memory_format=layout)  # type: ignore[call-overload]
        x = images(batch, side, device).contiguous(memory_format=layout)
        ways[f"{str(kind).removeprefix('torch.')}, {name}"] = model, step_of(model, answer, x, kind, fused=True)
    how = fastest({name: step for name, (_, step) in ways.items()})
    return Work(ways[how][1], batch, "diffusers", ways[how][:1], how)
