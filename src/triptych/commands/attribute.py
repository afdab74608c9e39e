"""`triptych attribute`: what sets one class apart in a model's latents, added to images, as a strip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import DataError, UsageError, nearest
from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.data import Splits
    from triptych.data.arrays import ArraySource
    from triptych.features import Encoder


class Attributed(NamedTuple):
    """What was written, and how far the vector is to be trusted."""

    path: str
    images: list[str]
    add: str
    remove: str | None  # None: all other classes
    strengths: list[float]  # of the columns
    length: float  # of the vector, in the units of the latents
    separation: float | None  # of held-out images, in [0, 1]: 0.5 says that the vector means nothing


def attribute(
    run: Annotated[Any, Flag(RUN)],
    data: Annotated[str, Flag("images with classes: a data set's name, a folder or zip, an .npz, or a pack")],
    images: Annotated[list[str], Flag("image files that are changed", metavar="IMAGE", several=True)],
    *,
    add: Annotated[str, Flag("the class that they become more like", metavar="CLASS")],
    remove: Annotated[
        str | None, Flag("the class that they become less like (default: all others)", metavar="CLASS")
    ] = None,
    strength: Annotated[
        float | str, Flag("how far each way; 1 is the way from the one mean to the other", metavar="N")
    ] = 2.0,
    steps: Annotated[int | str, Flag("images in a row, an odd number", metavar="N")] = 9,
    out: Annotated[str, Flag("x.png: a row for each image", ("-o", "--out"), "FILE")] = "attribute.png",
    batch: Annotated[int | str, Flag("images encoded at once", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Attributed:
    """Make images more and less like a class: mean latents of DATA's training images give the direction.

    In the middle of a row is what the model makes of the image itself.
    """
    import torch

    from triptych import quantities
    from triptych.attributes import applied
    from triptych.features import encoder, features
    from triptych.gallery import picture
    from triptych.pixels import grid, write_png

    path = picture(out)
    reach, columns = quantities.decimal(strength, "--strength", 0, 100), quantities.count(steps, "--steps", 3, 99)
    if columns % 2 == 0:
        raise UsageError(f"--steps is {columns}: give an odd number, so that the image itself is in the middle.")
    size = quantities.count(batch, "--batch", 1, 65536)
    seer = encoder(run, device)
    asked, splits = seer.images(images), seer.data(data, screen.say)
    vector, found = _way(seer, splits, add, remove, size, screen)
    strengths = torch.linspace(-reach, reach, columns).tolist()
    rows = [applied(seer.net, z, vector, strengths) for z in features(seer, asked, size)]
    write_png(grid(torch.cat(rows), columns), path)
    away = "all other classes" if remove is None else repr(remove)
    way = f"the way from {away} to {add!r}"
    screen.say(f"Wrote {path}: {len(rows):,} images, from -{reach:g} to +{reach:g} times {way}.")
    if found is not None:
        screen.say(f"Held-out images of {add!r} lie further along it than the others in {found:.1%} of pairs.")
    return Attributed(out, list(asked.names), add, remove, strengths, float(vector.norm()), found)


def _way(
    seer: Encoder, splits: Splits, add: str, remove: str | None, size: int, screen: Screen
) -> tuple[Tensor, float | None]:
    """The attribute vector (D,) of the training images, and how well it separates the held-out ones."""
    from triptych.attributes import attribute, separation
    from triptych.features import features

    has, lacks = _members(splits.train, splits.name, add, remove)
    with screen.progress("encoding", len(splits.train) + len(splits.validation)) as line:
        z = features(seer, splits.train, size, progress=line)
        held_out = features(seer, splits.validation, size, progress=lambda done: line(len(z) + done))
    vector = attribute(z, has, lacks)
    return vector, separation(held_out, vector, *_places(splits.validation, add, remove))


def _members(source: ArraySource, data: str, add: str, remove: str | None) -> tuple[Tensor, Tensor]:
    """Which training images (N,) have the attribute, and which lack it; raises where there are none."""
    if source.labels is None:
        raise DataError(f"{data} has no classes: give a folder of images for each class.")
    for flag, name in (("--add", add), ("--remove", remove)):
        if name is not None and name not in source.class_names:
            raise UsageError(f"{flag}: {data} has no class {name!r}; {nearest(name, source.class_names)}")
    if add == remove:
        raise UsageError(f"--add and --remove are both {add!r}; give two classes, or leave --remove out.")
    has, lacks = _places(source, add, remove)
    for members, what in ((has, repr(add)), (lacks, "any other class" if remove is None else repr(remove))):
        if not members.any():
            raise DataError(f"No training image of {data} is of {what}: add images of it.")
    return has, lacks


def _places(source: ArraySource, add: str, remove: str | None) -> tuple[Tensor, Tensor]:
    """Which images (N,) are of the one class, and which of the other or of all others."""
    import torch

    labels = torch.as_tensor(source.labels)
    has = labels == source.class_names.index(add)
    return has, ~has if remove is None else labels == source.class_names.index(remove)
