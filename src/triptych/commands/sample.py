"""`triptych sample`: new images from a trained model, as a grid, a folder of PNGs, or an array."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from triptych.flags import Flag
from triptych.screen import SCREEN, Screen

MOST = 10_000_000


class Sampled(NamedTuple):
    """What was written."""

    path: str
    images: int
    image_shape: tuple[int, int, int]
    first_seed: int
    seconds: float
    how: dict[str, Any]  # the model's choices as they were made


def sample(
    run: Annotated[str, Flag("a run folder, or one checkpoint in its at/")],
    *,
    n: Annotated[int | str, Flag("how many images", ("-n", "--images"), "N")] = 64,
    seed: Annotated[int | str, Flag("the first image's seed; image i has seed + i", metavar="N")] = 0,
    out: Annotated[
        str, Flag("x.png: one grid; x.npz: uint8 NHWC under 'images'; else a folder", ("-o", "--out"), "PATH")
    ] = "grid.png",
    labels: Annotated[str | None, Flag("classes in turn, by name or number: cat,dog or 0,1", metavar="A,B")] = None,
    text: Annotated[Any, Flag('"a red heart", or @FILE of one a line; in turn', metavar="TEXT", many=True)] = (),
    batch: Annotated[int | str, Flag("images made at once; changes speed and memory only", metavar="N")] = 64,
    sampler: Annotated[str | None, Flag("the way of sampling, for models with a choice", metavar="NAME")] = None,
    steps: Annotated[int | str | None, Flag("steps of the sampler, for models with steps", metavar="N")] = None,
    truncation: Annotated[
        float | str | None, Flag("0 to 1: towards the average image, for models with styles", metavar="PSI")
    ] = None,
    temperature: Annotated[
        float | str | None, Flag("0.001 to 2: times the prior's deviation, for models with a prior", metavar="T")
    ] = None,
    pixels: Annotated[
        str | None, Flag("mean or draw of the decoder, for models whose decoder gives a distribution", metavar="WAY")
    ] = None,
    schedule: Annotated[str | None, Flag("the levels walked, for models with noise levels", metavar="NAME")] = None,
    guidance: Annotated[
        float | str | None, Flag("0 to 100: scale of guidance to the class; 1 is none", metavar="W")
    ] = None,
    interval: Annotated[Any, Flag("guide at noise levels from A to B alone: 0.2,5", metavar="A,B")] = None,
    weaker: Annotated[str | None, Flag("a smaller or earlier run, for guidance away from it", metavar="RUN")] = None,
    autoguidance: Annotated[
        float | str | None, Flag("0 to 100: scale of guidance away from --weaker (default there: 1.5)", metavar="W")
    ] = None,
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps", metavar="NAME")] = "auto",
    screen: Screen = SCREEN,
) -> Sampled:
    """Make new images with the model of RUN. The same seed makes the same image in any batch."""
    import time
    from pathlib import Path

    from triptych.devices import pick
    from triptych.gallery import sink
    from triptych.quantities import count
    from triptych.sampling import choices, chooser, chosen, generate, named, prompted
    from triptych.store import load

    number, first = count(n, "-n", 1, MOST), count(seed, "--seed", 0)
    size = count(batch, "--batch", 1, 65536)
    how = chosen(
        sampler=sampler, steps=steps, schedule=schedule, guidance=guidance, interval=interval,
        autoguidance=autoguidance, truncation=truncation, temperature=temperature, pixels=pixels,
    )  # fmt: skip
    model = load(run, pick(device))
    if weaker is not None:
        how |= {"weaker": chooser(load(weaker, pick(device))), "autoguidance": how.get("autoguidance", 1.5)}
    given = {**named(labels, model.recipe["data"]["class_names"], number), **prompted(text, number)}
    made = generate(model, range(first, first + number), given, size, **how)
    place = sink(Path(out), number, first)
    start, done = time.perf_counter(), 0
    with screen.progress("sampling", number) as line:
        for images in made:
            place.add(images)
            done += len(images.images)
            line(done)
        place.close()
    spent = time.perf_counter() - start
    used = {name: value for name, value in (choices(model) | how).items() if value is not None}
    used |= {} if weaker is None else {"weaker": weaker}
    words = ", ".join(f"{name} {value}" for name, value in used.items())
    screen.say(f"Wrote {out}: {number:,} images in {spent:.1f} s{f' ({words})' if words else ''}.")
    return Sampled(out, number, model.image_shape, first, round(spent, 3), used)
