"""`triptych reconstruct`: images encoded and decoded again, with what is lost."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

IN_PICTURE = 64  # images that the picture shows


class Reconstructed(NamedTuple):
    """What was written, and how near the images came to themselves."""

    path: str
    images: int
    latents: str  # "mean" or "draw"
    psnr: list[float | None]  # dB of each image, in their order; None where nothing was lost
    median: float
    low: float  # a tenth of the images lie below,
    high: float  # and a tenth above


def reconstruct(
    run: Annotated[str, Flag(RUN)],
    images: Annotated[
        Any, Flag("image files; or one folder, zip, .npz, pack or data set's name", metavar="DATA", several=True)
    ],
    *,
    out: Annotated[str, Flag("x.png: a row for each image, at most 64", ("-o", "--out"), "FILE")] = "reconstructed.png",
    draw: Annotated[bool, Flag("draw from the posterior instead of taking its mean")] = False,
    seed: Annotated[int | str, Flag("with --draw: image i is drawn with seed + i", metavar="N")] = 0,
    batch: Annotated[int | str, Flag("images at once; changes speed and memory only", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Reconstructed:
    """Encode images with the model of RUN and decode them again: original, reconstruction, difference."""
    import math

    import torch
    from torch import Tensor

    from triptych.devices import pick
    from triptych.gallery import place_for
    from triptych.insight import asked, encoder, reconstructed, threefold
    from triptych.metrics.images import psnr
    from triptych.pixels import write_png
    from triptych.quantities import count
    from triptych.store import load

    path, size, first = place_for(out, ".png"), count(batch, "--batch", 1, 65536), count(seed, "--seed", 0)
    model = load(run, pick(device))
    encoder(model)
    source = asked(model, images, screen.say)
    nearness, kept = [], list[tuple[Tensor, Tensor]]()
    with screen.progress("reconstructing", len(source)) as line:
        for part in reconstructed(model, source, first if draw else None, size, line):
            nearness.append(psnr(part.images, part.again))
            if len(kept) * size < IN_PICTURE:
                kept.append((part.images, part.again))
    real, again = (torch.cat(side)[:IN_PICTURE] for side in zip(*kept, strict=True))
    write_png(threefold(real, again), path)
    found = torch.cat(nearness)
    low, median, high = (float(found.sort().values[round(at * (len(found) - 1))]) for at in (0.1, 0.5, 0.9))
    way = "draw" if draw else "mean"
    screen.say(
        f"Wrote {path}: {len(source):,} images from the {way} of the posterior{f', seed {first}' if draw else ''}; "
        f"PSNR {median:.1f} dB in the median, {low:.1f} to {high:.1f} for the middle four fifths."
    )
    each = [value if math.isfinite(value) else None for value in found.tolist()]
    return Reconstructed(out, len(source), way, each, median, low, high)
