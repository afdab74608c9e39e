"""`triptych traverse`: what each latent of a model does, as a strip ordered by what it spends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.core import Given, Model
    from triptych.insight import Spending


class Traversed(NamedTuple):
    """What was written, and what each latent spends; the first is the first row."""

    path: str
    latents: list[int]  # all of them, those that spend most first
    nats: list[float]  # of each, on average over the images
    active: int  # units whose mean varies by more than 0.01 over the images
    units: int
    images: int  # that this was measured on
    shown: int  # rows of the strip


def traverse(
    run: Annotated[str, Flag(RUN)],
    data: Annotated[str | None, Flag("the image that is moved: a file, or the first of a data set")] = None,
    *,
    out: Annotated[str, Flag("the strip: x.png, a row for each latent", ("-o", "--out"), "FILE")] = "traverse.png",
    seed: Annotated[int | str, Flag("without DATA: the latent that is moved is this seed's", metavar="N")] = 0,
    reach: Annotated[float | str, Flag("how far each way, in deviations of the prior", metavar="N")] = 3.0,
    steps: Annotated[int | str, Flag("images in a row", metavar="N")] = 7,
    rows: Annotated[int | str, Flag("latents shown, those that spend most", metavar="N")] = 16,
    over: Annotated[
        str | None, Flag("images on which the spending is measured (default: held out of the run's)", metavar="DATA")
    ] = None,
    labels: Annotated[str | None, Flag("the class of what is moved, for models with classes", metavar="A")] = None,
    batch: Annotated[int | str, Flag("images encoded at once", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Traversed:
    """Move one latent after the other of an image, or of a seed's draw, and see what changes."""
    import torch

    from triptych import insight, quantities
    from triptych.devices import pick
    from triptych.gallery import place_for
    from triptych.insight.traversal import spender
    from triptych.pixels import grid, write_png
    from triptych.store import load

    path, first = place_for(out, ".png"), quantities.count(seed, "--seed", 0)
    wide, columns = quantities.decimal(reach, "--reach", 0, 100), quantities.count(steps, "--steps", 2, 99)
    most, size = quantities.count(rows, "--rows", 1, 1000), quantities.count(batch, "--batch", 1, 65536)
    model = load(run, pick(device))
    spender(model)
    z, given = _start(model, data, first, labels, screen)
    source = insight.own(model, screen.say).validation if over is None else insight.asked(model, over, screen.say)
    with screen.progress("encoding", len(source), keep=False) as line:
        found = insight.spending(model, source, size, line)
    order = found.order()
    strip = torch.cat(list(insight.strips(model, z, order[:most], wide, columns, given)))
    write_png(grid(strip, columns), path)
    nats = [float(found.nats[latent]) for latent in order]
    result = Traversed(out, order, nats, int(found.active.sum()), len(order) * found.units, len(source),
                       min(most, len(order)))  # fmt: skip
    _say(result, found, wide, screen)
    return result


def _start(model: Model, data: str | None, seed: int, labels: str | None, screen: Screen) -> tuple[Tensor, Given]:
    """The latent (1, *latent_shape) that is moved, and what is known of its image."""
    from triptych.chance import Draw
    from triptych.insight import asked
    from triptych.insight.reconstruction import latents
    from triptych.sampling import check_labels, labels_for, named
    from triptych.sampling import latents as drawn

    given = named(labels, model.recipe["data"]["class_names"], 1)
    check_labels(given, 1, model.classes)
    if data is None:
        given = given or labels_for([seed], model.classes)
        return drawn(model, Draw([seed]), given), given
    source = asked(model, data, screen.say)
    import numpy as np

    return latents(model, source.subset(np.array([0])), given), given


def _say(result: Traversed, found: Spending, reach: float, screen: Screen) -> None:
    """What each row is, and how much of the latent space is in use."""
    units = f", {found.units} units each" if found.units > 1 else ""
    shown = result.latents[: result.shown]
    table = [
        (row + 1, latent, f"{result.nats[row]:.3f}", int(found.active[latent])) for row, latent in enumerate(shown)
    ]
    screen.table(("row", "channel" if units else "latent", "KL, nats", "active units"), table)
    screen.say(
        f"Wrote {result.path}: {result.shown} of {len(result.latents)} latents{units}, from -{reach:g} to +{reach:g} "
        f"deviations. {result.active} of {result.units} units are active, and all spend {sum(result.nats):.2f} nats an "
        f"image, on average over {result.images:,} images."
    )
    if not result.active:
        screen.warn("No unit is active: the posterior has collapsed, and a latent says nothing of its image.")
