"""`triptych directions`: what a model's styles mean, found without labels, as a strip."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen


class Directed(NamedTuple):
    """What was written; a direction's strength is its eigenvalue."""

    path: str
    strengths: list[float]
    seeds: list[int]
    reach: float


def directions(
    run: Annotated[str, Flag(RUN)],
    *,
    count: Annotated[int | str, Flag("how many directions, the strongest first", metavar="N")] = 6,
    reach: Annotated[float | str, Flag("how far each way, in standard deviations of the styles", metavar="N")] = 3.0,
    seeds: Annotated[Any, Flag("the images that are moved: 0,1,2 or 0-3", metavar="N,N")] = "0-2",
    steps: Annotated[int | str, Flag("images in a row", metavar="N")] = 7,
    out: Annotated[
        str, Flag("the strip: x.png, for each direction a row a seed", ("-o", "--out"), "FILE")
    ] = "directions.png",
    labels: Annotated[str | None, Flag("classes of the seeds in turn: cat,dog or 0,1", metavar="A,B")] = None,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Directed:
    """Move images of RUN along the directions of a style that its first layers answer most."""
    import torch

    from triptych import quantities
    from triptych.devices import pick
    from triptych.gallery import picture
    from triptych.inversion import styled
    from triptych.pixels import grid, write_png
    from triptych.sampling import named
    from triptych.store import load
    from triptych.walking import along

    path, through = picture(out), quantities.whole_numbers(seeds, "--seeds", 100)
    wide, columns = quantities.decimal(reach, "--reach", 0, 100), quantities.count(steps, "--steps", 2, 99)
    number = quantities.count(count, "--count", 1, 100)
    model = load(run, pick(device))
    vectors, strengths = styled(model).directions(number)
    given = named(labels, model.recipe["data"]["class_names"], len(through))
    rows = []
    with screen.progress("moving", number * len(through)) as line:
        for row in along(styled(model), vectors, through, given, wide, columns):
            rows.append(row)
            line(len(rows))
    write_png(grid(torch.cat(rows), columns), path)
    screen.say(f"Wrote {path}: {number} directions, from -{wide:g} to +{wide:g} standard deviations.")
    return Directed(out, [float(value) for value in strengths], through, wide)
