"""`triptych edit`: images made anew from themselves, a little or a lot; or as another class."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen


class Edited(NamedTuple):
    """What was written."""

    path: str
    images: int
    variants: int
    strength: float | None  # None where the class was changed


def edit(
    run: Annotated[str, Flag(RUN)],
    images: Annotated[Any, Flag("image files; or one folder, zip, .npz or pack", metavar="IMAGE", several=True)],
    *,
    strength: Annotated[float | str, Flag("0 (the image itself) to 1 (nothing is left of it)", metavar="S")] = 0.5,
    n: Annotated[int | str, Flag("variants of each image", ("-n", "--variants"), "N")] = 4,
    labels: Annotated[str | None, Flag("classes that they are to be of, in turn", metavar="A,B")] = None,
    of: Annotated[
        str | None, Flag("the classes that they are of: each is made anew as --labels says", metavar="A,B")
    ] = None,
    seed: Annotated[int | str, Flag("the first variant's seed", metavar="N")] = 0,
    out: Annotated[str, Flag("x.png: a row for each image, itself first", ("-o", "--out"), "FILE")] = "edited.png",
    sampler: Annotated[str | None, Flag("the way of sampling, for models with a choice", metavar="NAME")] = None,
    steps: Annotated[int | str | None, Flag("steps of the whole walk", metavar="N")] = None,
    schedule: Annotated[str | None, Flag("the noise levels: a name or a file", metavar="NAME")] = None,
    guidance: Annotated[float | str | None, Flag("0 to 100: guidance to the class; 1 is none", metavar="W")] = None,
    batch: Annotated[int | str, Flag("images at once; changes speed and memory only", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Edited:
    """Noise images up to a point and walk down again: the stronger, the less of them is left.

    With --of, images become another class instead: what they are apart from their class is kept.
    """
    from triptych.core import Edits
    from triptych.devices import pick
    from triptych.errors import UsageError
    from triptych.gallery import place_for
    from triptych.insight import able, as_another, asked, changed, side_by_side
    from triptych.pixels import write_png
    from triptych.quantities import count, decimal
    from triptych.sampling import accepts, chosen, named
    from triptych.store import load

    path, much, variants = place_for(out, ".png"), decimal(strength, "--strength", 0, 1), count(n, "-n", 1, 64)
    first, size = count(seed, "--seed", 0), count(batch, "--batch", 1, 65536)
    how = chosen(sampler=sampler, steps=steps, schedule=schedule, guidance=guidance)
    model = load(run, pick(device))
    source = asked(model, images, screen.say)
    names, number = model.recipe["data"]["class_names"], len(source)
    given, real = named(labels, names, number), source.read(range(number)).images
    if of is not None:
        if labels is None or how:
            raise UsageError(
                "--of says what the images are: give --labels for what they become, and no way of sampling."
            )
        change, variants = as_another(model, named(of, names, number)["labels"]), 1
    elif isinstance(model, Edits):
        accepts(model, how)
        change = lambda x, told, draw, rows: model.vary(x, much, draw, told, **how)  # noqa: E731
    else:
        raise UsageError(f"This model does not change images; {able('edit')}.")
    with screen.progress("editing", number * variants) as line:
        made = changed(model, real, change, variants, first, given, size, line)
    write_png(side_by_side(real, made), path)
    screen.say(f"Wrote {path}: {number:,} images, {variants} variants of each beside them.")
    return Edited(out, number, variants, None if of else much)
