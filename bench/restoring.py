"""How near images that `upscale` or `colorize` made come to the real ones, pixel by pixel and as a set.

    python -m bench.restoring RUN DATA [-n 200] [--variants 4] [--sampler NAME] [--steps N]

RUN was trained for it on DATA, whose held-out images are shown to it as far as the recipe leaves anything of them.

shown    what the model was shown: squares of pixels, or the grey image
bicubic  the small image upscaled by cubic convolution (Keys 1981, doi:10.1109/TASSP.1981.1163711); of upscaling alone
one      one variant of each image. What cannot be known is drawn: even a perfect model has twice the squared error of
         the best guess, 3 dB less (Blau and Michaeli 2018, arXiv:1711.06077, theorem 2)
mean     the mean of the variants: nearer pixel by pixel, and blurred

PSNR in dB, of the mean squared error of all images, with its 95% interval. FD: FD-bundled against the training images,
which falls with the number of images too: compare it within a table.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from triptych.core import Batch, Degradation, Model
from triptych.data import Splits, open_data
from triptych.evaluation import even, reference, summarise
from triptych.extractors import extractor
from triptych.insight import restored, taught
from triptych.metrics import fid
from triptych.metrics.bootstrap import interval_of_mean
from triptych.metrics.estimate import Estimate
from triptych.metrics.images import PEAK
from triptych.pixels import to_float, to_uint8
from triptych.sampling import chosen
from triptych.screen import SCREEN
from triptych.store import load


class Row(NamedTuple):
    """One way of restoring images."""

    way: str
    psnr: Estimate
    distance: float


def bicubic(images: Tensor, factor: int) -> Tensor:
    """uint8 images (N, C, H, W) of the means of their squares of `factor` pixels a side, by cubic convolution."""
    small = avg_pool2d(to_float(images), factor, ceil_mode=True)
    large = interpolate(small, scale_factor=factor, mode="bicubic", antialias=True)
    return to_uint8(large[:, :, : images.shape[2], : images.shape[3]].clamp(-1, 1))


def ways(model: Model, way: Degradation, real: Tensor, variants: int, **how: Any) -> dict[str, Tensor]:
    """uint8 images (N, C, H, W) of each way of restoring what is left of `real`; `how` goes to the model's `sample`."""
    with SCREEN.progress(way.undone, len(real) * variants, keep=False) as line:
        found = restored(model, way, real, variants, progress=line, **how)
    made = {"shown": found.left}
    if way.factor > 1:
        made["bicubic"] = bicubic(real, way.factor)
    mean = to_float(found.images.flatten(0, 1)).unflatten(0, (len(real), variants)).mean(1)
    return made | {"one": found.images[:, 0], "mean": to_uint8(mean)}


def nearness(made: Tensor, real: Tensor) -> Estimate:
    """PSNR of the mean squared error of all images: some, such as grey photographs, have none of their own."""
    error = interval_of_mean((made.double() - real.double()).square().mean((1, 2, 3)))
    value, high, low = (10 * math.log10(PEAK**2 / one) if one else math.inf for one in error)
    return Estimate(value, low, high)


def judged(made: Mapping[str, Tensor], real: Tensor, splits: Splits) -> list[Row]:
    """Each way's images (N, C, H, W) beside the real ones, and as a set against the training images."""
    look = extractor("bundled")
    wanted = reference(splits.train, "train", look).moments

    def distance(images: Tensor) -> float:
        return max(0.0, fid.distance(fid.between(wanted, summarise([Batch(images)], look).moments)))

    return [Row(way, nearness(images, real), distance(images)) for way, images in {**made, "real": real}.items()]


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [f"{'way':10}{'PSNR (dB)':>10}{'95%':>18}{'FD':>8}"]
    for way, (value, low, high), distance in rows:
        lines.append(f"{way:10}{value:10.2f}{f'{low:.2f} to {high:.2f}':>18}{distance:8.1f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.restoring", description="PSNR of upscaling and colourising.")
    parser.add_argument("run", type=Path, help="a run of upscale or colorize")
    parser.add_argument("data", help="what it was trained on")
    parser.add_argument("-n", "--images", type=int, default=200, help="held-out images")
    parser.add_argument("--variants", type=int, default=4, help="of each")
    parser.add_argument("--sampler")
    parser.add_argument("--steps")
    asked = parser.parse_args()
    model = load(asked.run)
    undone = "upscale" if "upscale" in model.recipe["about"]["can"] else "colorize"
    channels, height, width = model.image_shape
    splits = open_data(asked.data, size=(height, width), channels=channels)
    real = splits.validation.read(even(splits.validation, asked.images)).images
    how = chosen(sampler=asked.sampler, steps=asked.steps)
    print(table(judged(ways(model, taught(model, undone), real, asked.variants, **how), real, splits)))


if __name__ == "__main__":
    main()
