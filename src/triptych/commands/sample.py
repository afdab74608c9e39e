"""`triptych sample`: new images from a trained model, as a grid, a folder of PNGs, or an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    import torch

    from triptych.core import Batch, Model
    from triptych.gallery import Sink

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
    run: Annotated[str, Flag(RUN)],
    *,
    n: Annotated[int | str, Flag("how many images", ("-n", "--images"), "N")] = 64,
    seed: Annotated[int | str, Flag("the first image's seed; image i has seed + i", metavar="N")] = 0,
    out: Annotated[
        str, Flag("x.png: one grid; x.npz: uint8 NHWC under 'images'; else a folder", ("-o", "--out"), "PATH")
    ] = "grid.png",
    labels: Annotated[str | None, Flag("classes in turn, by name or number: cat,dog or 0,1", metavar="A,B")] = None,
    text: Annotated[
        Any, Flag('"a red heart", or @prompts.txt with one a line; several in turn', metavar="TEXT", many=True)
    ] = None,
    batch: Annotated[int | str, Flag("images made at once; changes speed and memory only", metavar="N")] = 64,
    sampler: Annotated[str | None, Flag("the way of sampling, for models with a choice", metavar="NAME")] = None,
    steps: Annotated[int | str | None, Flag("steps of the sampler, for models with steps", metavar="N")] = None,
    schedule: Annotated[str | None, Flag("the noise levels: a name or a file", metavar="NAME")] = None,
    guidance: Annotated[float | str | None, Flag("0 to 100: guidance to the class; 1 is none", metavar="W")] = None,
    interval: Annotated[Any, Flag("guide at noise levels from A to B alone: 0.2,5", metavar="A,B")] = None,
    weaker: Annotated[str | None, Flag("a smaller or earlier run, to be guided away from", metavar="RUN")] = None,
    autoguidance: Annotated[float | str | None, Flag("its scale, 0 to 100 (default: 1.5)", metavar="W")] = None,
    truncation: Annotated[
        float | str | None, Flag("0 to 1: towards the average image, for models with styles", metavar="PSI")
    ] = None,
    temperature: Annotated[
        float | str | None, Flag("0.001 to 2: times the prior's deviation, for models with a prior", metavar="T")
    ] = None,
    pixels: Annotated[
        str | None, Flag("mean or draw of the decoder, for models whose decoder gives a distribution", metavar="WAY")
    ] = None,
    trajectory: Annotated[str | None, Flag("x.png: also how the first images come about", metavar="FILE")] = None,
    filled: Annotated[bool, Flag("fill the last batch up: an image's bytes then follow from its seed alone")] = False,
    precision: Annotated[str, Flag("of products: float32, bfloat16, auto", metavar="NAME")] = "float32",
    compile: Annotated[bool, Flag("compile the networks first, for many images")] = False,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Sampled:
    """Make new images with the model of RUN. The same seed makes the same image in any batch."""
    from pathlib import Path

    from triptych import ways
    from triptych.devices import pick
    from triptych.gallery import picture, sink
    from triptych.pixels import write_png
    from triptych.quantities import count
    from triptych.sampling import accepts, choices, chooser, chosen, generate, named, previews, prompted
    from triptych.store import load

    number, first, size = count(n, "-n", 1, MOST), count(seed, "--seed", 0), count(batch, "--batch", 1, 65536)
    how = chosen(
        sampler=sampler, steps=steps, schedule=schedule, guidance=guidance, interval=interval,
        autoguidance=autoguidance, truncation=truncation, temperature=temperature, pixels=pixels,
    )  # fmt: skip
    ways.checked(precision=precision)
    model = load(run, pick(device))
    if compile:
        _compile(model, pick(device), screen)
    if weaker is not None:
        how |= {"weaker": chooser(load(weaker, pick(device))), "autoguidance": how.get("autoguidance", 1.5)}
    given = {**named(labels, model.recipe["data"]["class_names"], number), **prompted(text, number)}
    if trajectory is not None:
        accepts(model, {"watch": picture(trajectory)})
    seeds = range(first, first + number)
    made, place = generate(model, seeds, given, size, filled, precision, **how), sink(Path(out), number, first)
    spent = _write(made, place, screen.progress("sampling", number))
    if trajectory is not None:
        write_png(previews(model, seeds[:8], given, **how), picture(trajectory))
    used = _used(choices(model) | how, weaker=weaker, schedule=schedule)
    words = ", ".join(f"{name} {value}" for name, value in used.items())
    screen.say(f"Wrote {out}: {number:,} images in {spent:.1f} s{f' ({words})' if words else ''}.")
    return Sampled(out, number, model.image_shape, first, round(spent, 3), used)


def _compile(model: Model, device: torch.device, screen: Screen) -> None:
    """Let the model's networks be compiled, or say why they are not."""
    from triptych.ways import compile_networks, no_compiler

    if reason := no_compiler(device):
        screen.warn(f"Nothing is compiled, for that failed ({reason}); the images are the same.")
    else:
        compile_networks(model, device)


def _used(how: dict[str, Any], **said: str | None) -> dict[str, Any]:
    """The model's choices as they were made, those that are no plain values as they were said."""
    used = {name: value for name, value in how.items() if value is not None}
    used |= {name: word for name, word in said.items() if word is not None}
    return used | ({"steps": len(how["schedule"]) - 1} if str(said["schedule"]).endswith(".txt") else {})


def _write(made: Iterator[Batch], place: Sink, progress: AbstractContextManager[Callable[[int], None]]) -> float:
    """Everything that is made; how many seconds it took."""
    import time

    start, done = time.perf_counter(), 0
    with progress as line:
        for images in made:
            place.add(images)
            done += len(images.images)
            line(done)
        place.close()
    return time.perf_counter() - start
