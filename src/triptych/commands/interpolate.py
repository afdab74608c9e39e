"""`triptych interpolate`: a walk through the images of some seeds, as a film or a strip."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from triptych.errors import UsageError
from triptych.flags import Flag
from triptych.screen import SCREEN, Screen

IN_A_ROW, IN_A_FILM = 8, 24  # steps from one seed to the next, unless asked otherwise


class Walked(NamedTuple):
    """What was written."""

    path: str
    images: int
    image_shape: tuple[int, int, int]
    seeds: list[int]
    space: str


def interpolate(
    run: Annotated[str, Flag("a run folder, or one checkpoint in its at/")],
    *,
    seeds: Annotated[Any, Flag("the images to walk through: 1,2,3 or 0-7", metavar="N,N")] = "0-3",
    out: Annotated[
        str, Flag("x.mp4, x.gif or x.webp: a film; x.png: a row for each pair of seeds", ("-o", "--out"), "PATH")
    ] = "walk.gif",
    frames: Annotated[
        int | str | None, Flag("steps from one seed to the next (default: 24; in a .png 8)", metavar="N")
    ] = None,
    seconds: Annotated[float | str | None, Flag("length of the film, instead of --frames", metavar="TIME")] = None,
    fps: Annotated[float | str, Flag("images a second", metavar="N")] = 24,
    loop: Annotated[bool, Flag("walk back to the first seed, so that the film has no end")] = False,
    labels: Annotated[str | None, Flag("classes of the seeds in turn: cat,dog or 0,1", metavar="A,B")] = None,
    truncation: Annotated[
        float | str, Flag("0 to 1: towards the average image, for models with styles", metavar="PSI")
    ] = 1.0,
    space: Annotated[str | None, Flag("style (default where the model has styles) or latent", metavar="NAME")] = None,
    batch: Annotated[int | str, Flag("images made at once; changes speed and memory only", metavar="N")] = 64,
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps", metavar="NAME")] = "auto",
    screen: Screen = SCREEN,
) -> Walked:
    """Walk from seed to seed with the model of RUN; each seed's image is that of 'triptych sample'."""
    from pathlib import Path

    from triptych import film
    from triptych.devices import pick
    from triptych.pixels import grid, write_png
    from triptych.quantities import count, decimal, whole_numbers
    from triptych.sampling import named
    from triptych.store import load
    from triptych.walking import Walk

    path, through = Path(out), whole_numbers(seeds, "--seeds")
    still = path.suffix.lower() == ".png"
    if not still:
        film.check(path)
    if still and (loop or seconds is not None):
        raise UsageError(f"-o {path}: --loop and --seconds are for films; give a .gif, .webp or .mp4.")
    rate, size = decimal(fps, "--fps", 1, 100), count(batch, "--batch", 1, 65536)
    steps = _steps(frames, seconds, rate, len(through) - (not loop), still)
    psi = decimal(truncation, "--truncation", 0, 1)
    model = load(run, pick(device))
    given = named(labels, model.recipe["data"]["class_names"], len(through))
    walk = Walk(model, through, given, space, psi)
    made = walk.rows(steps, size) if still else walk.frames(steps, loop, size)
    total = (len(through) - 1) * (steps + 1) if still else (len(through) - (not loop)) * steps + (not loop)
    with screen.progress("walking", total) as line:
        shown = _told(made, line)
        if still:
            import torch

            write_png(grid(torch.stack(list(shown)), steps + 1), path)
        else:
            film.write(shown, path, rate)
    screen.say(f"Wrote {path}: {total:,} images through {len(through)} seeds, in {walk.space} space.")
    return Walked(out, total, model.image_shape, through, walk.space)


def _steps(frames: Any, seconds: Any, rate: float, ways: int, still: bool) -> int:
    """Steps from one seed to the next."""
    from triptych import quantities

    if frames is not None and seconds is not None:
        raise UsageError("--frames and --seconds say the same; give one of them.")
    if seconds is not None:
        return max(1, round(quantities.seconds(seconds, "--seconds") * rate / max(1, ways)))
    usual = IN_A_ROW if still else IN_A_FILM
    return usual if frames is None else quantities.count(frames, "--frames", 1, 10_000)


def _told(batches: Any, line: Any) -> Any:
    """The images one by one, the line told of each."""
    done = 0
    for batch in batches:
        for image in batch:
            yield image
            done += 1
            line(done)
