"""`triptych upscale`: small images made large, by a model that was taught to."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from triptych.flags import Device, Flag
from triptych.screen import SCREEN, Screen


class Upscaled(NamedTuple):
    """What was written, and how true it is to what was there."""

    path: str
    images: int
    variants: int
    factor: int  # pixels a side that are made of one
    faithful: float | None  # dB, in the median: PSNR of the variants, made small again; None where nothing was lost


def upscale(
    run: Annotated[str, Flag("a run folder of 'upscale', or one checkpoint in its at/")],
    images: Annotated[Any, Flag("image files", metavar="IMAGE", several=True)],
    *,
    n: Annotated[int | str, Flag("variants of each image", ("-n", "--variants"), "N")] = 4,
    labels: Annotated[str | None, Flag("classes of the images in turn", metavar="A,B")] = None,
    seed: Annotated[int | str, Flag("the first variant's seed", metavar="N")] = 0,
    out: Annotated[
        str, Flag("x.png: a row for each image, what the model was shown first", ("-o", "--out"), "FILE")
    ] = "upscaled.png",
    sampler: Annotated[str | None, Flag("the way of sampling", metavar="NAME")] = None,
    steps: Annotated[int | str | None, Flag("noise levels of the walk", metavar="N")] = None,
    schedule: Annotated[str | None, Flag("the noise levels: a name or a file", metavar="NAME")] = None,
    guidance: Annotated[float | str | None, Flag("0 to 100: guidance to the class; 1 is none", metavar="W")] = None,
    batch: Annotated[int | str, Flag("images at once; changes speed and memory only", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Upscaled:
    """Make images as many times as large as RUN was trained to; larger ones are first brought to the small size."""
    import math

    from triptych.devices import pick
    from triptych.gallery import place_for
    from triptych.insight import opened, restored, side_by_side, taught
    from triptych.pixels import write_png
    from triptych.quantities import count
    from triptych.sampling import chosen, named
    from triptych.store import load

    path, variants = place_for(out, ".png"), count(n, "-n", 1, 64)
    first, size = count(seed, "--seed", 0), count(batch, "--batch", 1, 65536)
    how = chosen(sampler=sampler, steps=steps, schedule=schedule, guidance=guidance)
    model = load(run, pick(device))
    way = taught(model, "upscale")
    real = opened(model, images, way.factor)
    number, given = len(real), named(labels, model.recipe["data"]["class_names"], len(real))
    with screen.progress("upscaling", number * variants) as line:
        found = restored(model, way, real, variants, first, given, size, line, **how)
    write_png(side_by_side(found.left, found.images), path)
    screen.say(
        f"Wrote {path}: {number:,} images {way.factor} times as large, {variants} variants of each. Made small again "
        f"they are what was shown, to a PSNR of {found.faithful:.1f} dB in the median."
    )
    return Upscaled(out, number, variants, way.factor, found.faithful if math.isfinite(found.faithful) else None)
