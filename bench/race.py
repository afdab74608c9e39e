"""Seconds of training to a fixed FD-bundled, beside the example recipes of two libraries for diffusion models.

    python -m bench race digits|cifar10 [--data PACK] [--target FD] [--model flow] [--after 5] [-n 250]

Each side trains by its own example on the same images, which the peers are given as PNGs; none mirrors them.

triptych         as `triptych train MODEL DATA` does, on CIFAR-10 with recipes/diffusion-cifar10-cpu.yaml: a network of
                 the data's size, classes, the precision that is fastest here; its own sampler
denoising_diffusion_pytorch
                 the Trainer as its README has it: Unet(64, (1, 2, 4, 8)), batches of 32 of which two make a step, rate
                 8e-5, average .995, mixed precision (in bfloat16: no CPU has float16). It takes sides divisible by 8
diffusers        examples/unconditional_image_generation/train_unconditional.py: six sizes of 128 to 512 features,
                 batches of 16, AdamW (1e-4, betas .95 and .999, decay 1e-6), 500 steps of warm-up and a cosine over 100
                 epochs, average by the power 3/4 up to .9999, float32. It takes sides divisible by 32: each pixel of
                 smaller images is repeated, and samples are averaged back, by which nothing is lost

The peers are sampled by DDIM in --steps steps; the README has 250, and the example 1,000 of the ancestral sampler.
Training alone is timed, by processor time on one thread, without what the processes of a loader take; the first step,
in which operations are counted, is not. Ours is scored at times that grow by a quarter until the target is reached,
the peers after --after times as long. A score is FD-bundled of -n images of the averaged weights against all training
images; fewer images make it larger, and the target is one for this number.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from bench.work import Work

if TYPE_CHECKING:
    from bench.peers import Child

OURS = "triptych"
PEERS = ("denoising_diffusion_pytorch", "diffusers")
GOAL = 5.0  # times as long must the peers take
GROWTH = 1.25  # of the times at which ours is scored
TOGETHER = 50  # images that a peer samples at a time
LEAST = 32  # the smallest side that the network of diffusers' example takes
RECIPE = str(Path(__file__).parents[1] / "recipes" / "diffusion-cifar10-cpu.yaml")


class Course(NamedTuple):
    """How far it is on a data set."""

    target: float  # FD-bundled
    first: float  # seconds of training before our first score
    last: float  # and after which ours is given up
    recipe: str | None = None


COURSES = {"digits": Course(0.5, 4, 120), "cifar10": Course(100.0, 60, 1800, RECIPE)}


class Mark(NamedTuple):
    """A score on the way."""

    seconds: float  # of training
    images: int  # trained with
    distance: float


def triptych(wishes: dict[str, Any], folder: str, steps: int) -> Work:
    """Ours, as the wishes of a run say."""
    from bench.ours import step_of
    from triptych import run, sampling
    from triptych.screen import Screen
    from triptych.settling import settled

    screen, device = Screen(quiet=True), torch.device("cpu")
    tree, splits = run.tree_of(run.Wishes(**wishes), screen)
    tree = settled(run.Budget.of(None, "10min"), screen)(tree, splits, device, Path(folder))
    made = run.build(Path(folder), tree, splits, device, screen)

    def draw(count: int) -> Tensor:
        return torch.cat([batch.images for batch in sampling.generate(made.cast.shown, range(count), batch=128)])

    how = tree["precision"] + ", compiled" * tree["compile"]
    return Work(step_of(made), tree["batch"], "triptych", (made.cast.model,), how, draw=draw)


def denoising_diffusion_pytorch(wishes: dict[str, Any], folder: str, steps: int) -> Work:
    """The Trainer of its README, a step at a time."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Trainer, Unet

    channels, side = read(folder).shape[1:3]
    net = Unet(dim=64, dim_mults=(1, 2, 4, 8), channels=channels)
    model = GaussianDiffusion(net, image_size=side, timesteps=1000, sampling_timesteps=steps)
    trainer = Trainer(
        model, folder, train_batch_size=32, gradient_accumulate_every=2, train_lr=8e-5, ema_decay=0.995,
        amp=True, mixed_precision_type="bf16", augment_horizontal_flip=False, train_num_steps=0,
        calculate_fid=False, save_and_sample_every=10**9, results_folder=str(Path(folder, "results")),
    )  # fmt: skip

    def once() -> None:
        trainer.train_num_steps += 1
        with silent():
            trainer.train()

    def draw(count: int) -> Tensor:
        average = trainer.ema.ema_model.eval()
        with silent():
            return to_bytes(torch.cat([average.sample(batch_size=some) for some in parts(count)]))

    return Work(once, 64, "denoising_diffusion_pytorch", (net,), "bfloat16", draw=draw)


def diffusers(wishes: dict[str, Any], folder: str, steps: int) -> Work:
    """The loop of its example, a step at a time."""
    from diffusers import DDIMPipeline, DDPMScheduler
    from diffusers.optimization import get_scheduler
    from diffusers.training_utils import EMAModel

    images = read(folder)
    times = math.ceil(LEAST / images.shape[-1])  # a pixel is repeated, each way
    model, noises = example(images.shape[1], times * images.shape[-1]), DDPMScheduler(num_train_timesteps=1000)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-4, (0.95, 0.999), weight_decay=1e-6)
    epochs = 100 * math.ceil(len(images) / 16)
    ramp = get_scheduler("cosine", optimiser, num_warmup_steps=500, num_training_steps=epochs)
    average = EMAModel(model.parameters(), 0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    batches = shuffled(images, 16)

    def once() -> None:
        clean = nn.functional.interpolate(next(batches) / 127.5 - 1, scale_factor=times)
        noise, when = torch.randn_like(clean), torch.randint(0, 1000, (len(clean),))
        found = model(noises.add_noise(clean, noise, when), when).sample
        nn.functional.mse_loss(found, noise).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        ramp.step()
        average.step(model.parameters())
        optimiser.zero_grad()

    def draw(count: int) -> Tensor:
        average.store(model.parameters())
        average.copy_to(model.parameters())
        pipe = DDIMPipeline(model.eval(), noises)
        with silent():
            made = [pipe(some, num_inference_steps=steps, output_type="pt").images for some in parts(count)]
        average.restore(model.train().parameters())
        return to_bytes(nn.functional.avg_pool2d(torch.cat(made), times))

    return Work(once, 16, "diffusers", (model,), draw=draw)


def example(channels: int, side: int) -> nn.Module:
    """The network of diffusers' example."""
    from diffusers import UNet2DModel

    model: nn.Module = UNet2DModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(128, 128, 256, 256, 512, 512),
        down_block_types=(*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4),
    )
    return model


def read(folder: str) -> Tensor:
    """The images of a folder in the order of their names, uint8 (N, C, H, W)."""
    images = [np.atleast_3d(np.asarray(Image.open(path))) for path in sorted(Path(folder).glob("*.png"))]
    return torch.from_numpy(np.stack(images)).movedim(3, 1)


def shuffled(images: Tensor, batch: int) -> Iterator[Tensor]:
    """Batches without end, each image once in an epoch."""
    while True:
        yield from (images[rows] for rows in torch.randperm(len(images)).split(batch))


def parts(count: int) -> list[int]:
    """A number as a sum of at most TOGETHER each."""
    return [min(TOGETHER, count - start) for start in range(0, count, TOGETHER)]


def to_bytes(x: Tensor) -> Tensor:
    """Images in [0, 1] as uint8."""
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)


def silent() -> contextlib.AbstractContextManager[object]:
    """Without the progress bars of others."""
    return contextlib.redirect_stderr(io.StringIO())


def course(child: Child, marks: Sequence[float], target: float, judge: Callable[[Child], float]) -> list[Mark]:
    """Train up to each of these seconds, and judge there, until the target is reached."""
    spent, steps, each, found = 0.0, 0, math.inf, list[Mark]()
    for mark in marks:
        while spent < mark:
            number = max(1, round((mark - spent) / each))
            last = child.seconds(number)
            spent, steps, each = spent + last, steps + number, last / number
        distance = judge(child)
        found.append(Mark(spent, steps * child.told["images"], distance))
        print(f"  {child.side}: FD {distance:.3g} after {spent:.3g} s", flush=True)
        if distance <= target:
            break
    return found


def outcome(marks: Sequence[Mark], target: float, ours: float) -> str:
    """How long a side took, and how many times as long as ours."""
    last = marks[-1]
    before, after = ("reached in", ",") if last.distance <= target else ("not in", ": more than")
    return f"{before} {last.seconds:,.1f} s{after} {last.seconds / ours:.2f} times as long"


def row(told: Mapping[str, Any], marks: Sequence[Mark], target: float, ours: float) -> str:
    """A side as a line of a table."""
    speed, work = marks[-1].images / marks[-1].seconds, told["flops"] / told["images"] / 1e6
    curve = ", ".join(f"{mark.distance:.3g} at {mark.seconds:,.0f} s" for mark in marks)
    figures = f"{told['version']:>10}{told['parameters']:13,}{work:13,.1f}{speed:10,.1f}{marks[-1].images:10,}"
    return f"{told['package']:30}{figures}  {outcome(marks, target, ours)} ({told['how']}; FD {curve})"


def judge_of(data: str, count: int, folder: Path) -> Callable[[Child], float]:
    """FD-bundled of so many of a side's images against all training images, which are written to a folder as PNGs."""
    from triptych.core import Batch
    from triptych.data import open_data
    from triptych.evaluation import reference, summarise
    from triptych.extractors import extractor
    from triptych.metrics.fid import frechet
    from triptych.pixels import write_png

    train, look = open_data(data).train, extractor("bundled", torch.device("cpu"))
    real = reference(train, "train", look)
    for index in range(len(train)):
        write_png(train.read([index]).images[0], folder / f"{index:06d}.png")

    def judge(child: Child) -> float:
        images = torch.from_numpy(child.draw(count, folder / "drawn.npy"))
        return frechet(real.moments, summarise([Batch(images)], look, most=0).moments)

    return judge


def flags() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(prog="bench.race", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=list(COURSES))
    parser.add_argument("--data", help="a pack of the images (default: the data set of this name)")
    parser.add_argument("--target", type=float, help="FD-bundled (default: .5 on digits, 100 on CIFAR-10)")
    parser.add_argument("--model", default="flow", help="ours")
    parser.add_argument("--seed", type=int, default=0, help="of ours")
    parser.add_argument("--against", nargs="*", default=list(PEERS), choices=PEERS, help="which peers")
    parser.add_argument("--after", nargs="+", type=float, default=[GOAL], help="of our seconds are peers scored")
    parser.add_argument("--steps", type=int, default=250, help="of the peers' DDIM")
    parser.add_argument("-n", type=int, default=250, help="images of a score")
    return parser


def race(asked: argparse.Namespace, folder: Path) -> Iterator[str]:
    """A line of the table for each side; of ours alone where it does not arrive. The folder is for images."""
    from bench.peers import Child

    torch.set_num_threads(1)
    known, data = COURSES[asked.name], asked.data or asked.name
    target, judge = asked.target or known.target, judge_of(data, asked.n, folder)
    wishes = {"model": asked.model, "data": data, "seed": asked.seed, "file": known.recipe}
    settings = {"threads": 1, "clock": "processor", "wishes": wishes, "folder": str(folder), "steps": asked.steps}
    number = int(math.log(known.last / known.first, GROWTH))
    marks, arrived = [known.first * GROWTH**index for index in range(number + 1)], 0.0
    for side in (OURS, *asked.against):
        with contextlib.closing(Child("bench.race", side, settings)) as child:
            found = course(child, marks, target, judge)
            arrived = arrived or found[-1].seconds
            yield row(child.told, found, target, arrived)
        if side == OURS and found[-1].distance > target:
            return
        marks = [times * arrived for times in sorted(asked.after)]


def main() -> None:
    from triptych import machine

    asked = flags().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = list(race(asked, Path(folder)))
    print(f"{(__doc__ or '').splitlines()[0]}\n{machine.describe('cpu')}, 1 thread, processor time; {vars(asked)}")
    print(f"{'side':30}{'version':>10}{'parameters':>13}{'MFLOP/image':>13}{'images/s':>10}{'images':>10}  target")
    print("\n".join(table))


if __name__ == "__main__":
    main()
