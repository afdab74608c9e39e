"""`triptych inpaint`: a part of an image made to fit the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.chance import Draw
    from triptych.core import Given


class Inpainted(NamedTuple):
    """What was written."""

    path: str
    images: int
    variants: int
    share: float  # of the image that was made


def inpaint(
    run: Annotated[str, Flag(RUN)],
    images: Annotated[Any, Flag("image files", metavar="IMAGE", several=True)],
    *,
    mask: Annotated[str, Flag("an image of the same size, white where pixels are to be new", metavar="FILE")],
    n: Annotated[int | str, Flag("variants of each image", ("-n", "--variants"), "N")] = 4,
    labels: Annotated[str | None, Flag("classes of the images in turn", metavar="A,B")] = None,
    seed: Annotated[int | str, Flag("the first variant's seed", metavar="N")] = 0,
    out: Annotated[str, Flag("x.png: a row for each image, itself first", ("-o", "--out"), "FILE")] = "inpainted.png",
    steps: Annotated[int | str | None, Flag("noise levels of the walk", metavar="N")] = None,
    schedule: Annotated[str | None, Flag("the noise levels: a name or a file", metavar="NAME")] = None,
    jumps: Annotated[int | str, Flag("times that each step is taken: more fits better", metavar="N")] = 10,
    guidance: Annotated[float | str | None, Flag("0 to 100: guidance to the class; 1 is none", metavar="W")] = None,
    batch: Annotated[int | str, Flag("images at once; changes speed and memory only", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Inpainted:
    """Make the white part of MASK new; every other pixel stays as it was, to the bit."""
    from triptych.core import Inpaints
    from triptych.data.photographs import open_images
    from triptych.devices import pick
    from triptych.errors import UsageError
    from triptych.gallery import place_for
    from triptych.insight import changed, mask_for, side_by_side
    from triptych.pixels import write_png
    from triptych.quantities import count
    from triptych.sampling import chosen, named
    from triptych.store import load

    path, variants = place_for(out, ".png"), count(n, "-n", 1, 64)
    first, size = count(seed, "--seed", 0), count(batch, "--batch", 1, 65536)
    how = chosen(steps=steps, schedule=schedule, guidance=guidance) | {"jumps": count(jumps, "--jumps", 1, 1000)}
    model = load(run, pick(device))
    if not isinstance(model, Inpaints):
        raise UsageError("This model does not fill in parts of images; train one that does, such as a flow.")
    files = [images] if isinstance(images, str) else list(images)
    white = mask_for(mask, files, model)  # (H, W)
    fit = str(model.recipe["data"].get("fit", "crop"))
    real = open_images(files, model.image_shape, fit).read(range(len(files))).images
    given = named(labels, model.recipe["data"]["class_names"], len(files))

    def change(x: Tensor, told: Given, draw: Draw, rows: Tensor) -> Tensor:
        return model.inpaint(x, white.to(x.device).expand(len(x), 1, -1, -1), draw, told, **how)

    with screen.progress("inpainting", len(files) * variants) as line:
        made = changed(model, real, change, variants, first, given, size, line)
    write_png(side_by_side(real, made), path)
    share = float(white.float().mean())
    screen.say(
        f"Wrote {path}: {len(files):,} images, {variants} variants of each beside them, {share:.0%} of them new."
    )
    return Inpainted(out, len(files), variants, share)
