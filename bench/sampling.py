"""Images a second of sampling from the ddpm recipe's U-Net in as many steps, beside diffusers.

    python -m bench sampling [--sampler ddim|dpm++2m] [--steps 10] [--batch 16] [--precision float32|bfloat16]
        [--rounds 5] [--device cpu]

Both ask the same network once a step in the same precision, ours by `triptych.generate` and theirs by the loop of a
pipeline. Both end in uint8.
"""

from __future__ import annotations

import itertools

import torch

from bench.work import Work

GOALS = {"diffusers": 1.2}


def triptych(batch: int, side: int, device: str, sampler: str, steps: int, precision: str) -> Work:
    from bench.ours import built
    from triptych.sampling import generate

    model = built("ddpm", 1, side, device).cast.model
    starts = itertools.count(0, batch)

    def once() -> None:
        first = next(starts)
        seeds = range(first, first + batch)
        list(generate(model, seeds, batch=batch, precision=precision, sampler=sampler, steps=steps))

    return Work(once, batch, "triptych", (model,), precision)


def diffusers(batch: int, side: int, device: str, sampler: str, steps: int, precision: str) -> Work:
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    from bench.unet_step import unet

    model = unet(side).to(device).eval()
    scheduler = {"ddim": DDIMScheduler, "dpm++2m": DPMSolverMultistepScheduler}[sampler](num_train_timesteps=1000)

    @torch.no_grad()
    def once() -> torch.Tensor:
        scheduler.set_timesteps(steps)
        x = torch.randn(batch, 3, side, side, device=device)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
            for time in scheduler.timesteps:
                x = scheduler.step(model(x, time).sample, time, x).prev_sample
        return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()

    return Work(once, batch, "diffusers", (model,), precision)


def main() -> None:
    from bench.contest import compete

    compete("sampling", GOALS, batch=16, side=32, device="cpu", sampler="ddim", steps=10, precision="float32")


if __name__ == "__main__":
    main()
