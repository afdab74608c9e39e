"""`triptych schedule`: levels for a few steps, fitted to a trained model."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen


class Scheduled(NamedTuple):
    """What was written, and what it is worth: root mean square distances from the images of many steps."""

    path: str
    sampler: str
    levels: list[float]
    error: float
    before: float  # with the best schedule that is not fitted


def schedule(
    run: Annotated[str, Flag(RUN)],
    *,
    steps: Annotated[int | str, Flag("steps of the sampler", metavar="N")] = 8,
    sampler: Annotated[str, Flag("ddim, heun, dpm++2m, unipc, ipndm", metavar="NAME")] = "unipc",
    images: Annotated[int | str, Flag("images that it is fitted on", metavar="N")] = 256,
    seed: Annotated[int | str, Flag("the first of their seeds", metavar="N")] = 1_000_000,
    out: Annotated[
        str, Flag("x.txt: a level a line, for --schedule of sample", ("-o", "--out"), "FILE")
    ] = "levels.txt",
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Scheduled:
    """Find the noise levels at which few steps of a sampler come nearest to many; the model stays as it is."""
    import torch

    from triptych.chance import Draw
    from triptych.core import Walks
    from triptych.devices import pick
    from triptych.errors import UsageError
    from triptych.gallery import place_for
    from triptych.quantities import count
    from triptych.sampling import at_rest, chooser, labels_for
    from triptych.store import load

    path, number, first = place_for(out, ".txt"), count(steps, "--steps", 1, 1000), count(seed, "--seed", 0)
    seeds = range(first, first + count(images, "--images", 1, 65536))
    model = chooser(load(run, pick(device)))
    if not isinstance(model, Walks):
        raise UsageError(f"{run} has no noise levels to walk: its sampling is one step.")
    with at_rest(model) as place, screen.progress("fitting", 1, keep=False), torch.no_grad():
        given = {name: value.to(place) for name, value in labels_for(list(seeds), model.classes).items()}
        levels, error, before = model.fitted(Draw(seeds, place), given, sampler, number)
    path.write_text("".join(f"{level:.9g}\n" for level in levels.tolist()), encoding="utf-8")
    screen.say(
        f"Wrote {path}: {number} steps of {sampler} end {error:.4f} from those of many steps, {before:.4f} before. "
        f"Use it: triptych sample {run} --sampler {sampler} --schedule {path}"
    )
    return Scheduled(out, sampler, levels.tolist(), error, before)
