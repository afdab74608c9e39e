"""`triptych interpolate`: a walk through the images of some seeds or between photographs, as a film or a strip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import UsageError
from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from triptych.core import Given, Model

IN_A_ROW, IN_A_FILM = 8, 24  # steps from one seed to the next, unless asked otherwise


class Walked(NamedTuple):
    """What was written."""

    path: str
    images: int
    image_shape: tuple[int, int, int]
    seeds: list[int]  # [] between photographs
    space: str
    way: str  # "spherical" or "linear"


def interpolate(
    run: Annotated[str, Flag(RUN)],
    *,
    seeds: Annotated[Any, Flag("the images to walk through: 1,2,3 or 0-7 (default: 0-3)", metavar="N,N")] = None,
    between: Annotated[
        Any, Flag("image files to walk through instead, for models that encode", metavar="IMAGE", several=True)
    ] = None,
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
    path: Annotated[
        str | None, Flag("spherical or linear (default: spherical, in style space linear)", metavar="NAME")
    ] = None,
    batch: Annotated[int | str, Flag("images made at once; changes speed and memory only", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Walked:
    """Walk from seed to seed with the model of RUN; each seed's image is that of 'triptych sample'.

    Between photographs the walk goes through the means that the model encodes them to: its stations are their
    reconstructions.
    """
    from triptych.devices import pick
    from triptych.quantities import count, decimal, whole_numbers
    from triptych.sampling import named
    from triptych.store import load
    from triptych.walking import Walk

    if seeds is not None and between is not None:
        raise UsageError("--seeds and --between both say what to walk through; give one of them.")
    place, still = _place(out, loop, seconds)
    through = [] if between else whole_numbers("0-3" if seeds is None else seeds, "--seeds")
    stations = len(between or through)
    rate, size = decimal(fps, "--fps", 1, 100), count(batch, "--batch", 1, 65536)
    steps = _steps(frames, seconds, rate, stations - (not loop), still)
    psi = decimal(truncation, "--truncation", 0, 1)
    model = load(run, pick(device))
    given = named(labels, model.recipe["data"]["class_names"], stations)
    if between:
        walk = Walk(model, _encoded(model, between, given, screen), given, space or "latent", psi, path)
    else:
        walk = Walk(model, through, given, space, psi, path)
    made = walk.rows(steps, size) if still else walk.frames(steps, loop, size)
    total = (stations - 1) * (steps + 1) if still else (stations - (not loop)) * steps + (not loop)
    with screen.progress("walking", total) as line:
        _write(_told(made, line), place, steps + 1 if still else None, rate)
    what = "photographs" if between else "seeds"
    screen.say(f"Wrote {place}: {total:,} images through {stations} {what}, {walk.path} in {walk.space} space.")
    return Walked(out, total, model.image_shape, through, walk.space, walk.path)


def _place(out: str, loop: bool, seconds: Any) -> tuple[Path, bool]:
    """Where the walk goes, and whether that is a strip and not a film."""
    from pathlib import Path

    from triptych import film

    place = Path(out)
    still = place.suffix.lower() == ".png"
    if not still:
        film.check(place)
    if still and (loop or seconds is not None):
        raise UsageError(f"-o {place}: --loop and --seconds are for films; give a .gif, .webp or .mp4.")
    return place, still


def _write(images: Iterator[Tensor], place: Path, columns: int | None, rate: float) -> None:
    """A strip of so many columns, or a film."""
    import torch

    from triptych import film
    from triptych.pixels import grid, write_png

    if columns is None:
        film.write(images, place, rate)
    else:
        write_png(grid(torch.stack(list(images)), columns), place)


def _encoded(model: Model, between: Sequence[str], given: Given, screen: Screen) -> Tensor:
    """The means of image files, (K, *latent_shape)."""
    from triptych.insight import asked
    from triptych.insight.reconstruction import encoder, latents

    encoder(model)
    return latents(model, asked(model, between, screen.say), given)


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
