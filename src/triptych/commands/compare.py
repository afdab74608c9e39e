"""`triptych compare`: several models under one budget, each in a process of its own, and a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import TriptychError, UsageError, nearest
from triptych.flags import Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from triptych.core import Model, Source
    from triptych.report import Entry, Heading

DEFAULT = "45s"
REAL = 32  # real images shown
TIMED = 64  # images in a batch when sampling is timed
COLOURS = {1: "grey", 2: "grey with alpha", 3: "colour", 4: "colour with alpha"}


class Compared(NamedTuple):
    """What was written, and the report's numbers for each model."""

    report: str
    folder: str
    data: str
    budget: str
    models: list[dict[str, Any]]


def compare(
    data: Annotated[str, Flag("a data set's name, a folder or zip of images, an .npz, or a pack")],
    *,
    models: Annotated[
        str | Sequence[str] | None, Flag("which models (default: one of each family)", metavar="A,B,C")
    ] = None,
    for_: Annotated[
        float | str | None, Flag(f"train each for so long (default: {DEFAULT})", ("--for",), "TIME")
    ] = None,
    images: Annotated[int | str | None, Flag("instead: train each until it saw so many images", metavar="N")] = None,
    seed: Annotated[int | str, Flag("decides first weights, order and noise of each", metavar="N")] = 0,
    out: Annotated[str | None, Flag("the report's folder (default: compare-DATA)", ("-o", "--out"), "FOLDER")] = None,
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps", metavar="NAME")] = "auto",
    samples: Annotated[int | str, Flag("images shown of each model, at seeds 0, 1, ...", metavar="N")] = 64,
    size: Annotated[int | str | None, Flag("bring images to 64 or 48x64 (height x width)", metavar="PIXELS")] = None,
    set: Annotated[
        Iterable[str],
        Flag("change a value of every recipe, such as batch=64", many=True, metavar="KEY=VALUE"),
    ] = (),
    screen: Screen = SCREEN,
) -> Compared:
    """Train models on DATA one after the other under one equal budget, and write a report.

    The same line again goes on where it stopped. A model that fails does not stop the others.
    """
    from triptych import child, quantities
    from triptych.data import open_data
    from triptych.report import write_report

    names = _names(models)
    budget, words = _budget(for_, images)
    shown = quantities.count(samples, "--samples", 1, 1024)
    start = quantities.count(seed, "--seed", 0)
    pixels = None if size is None else quantities.size(size, "--size")
    with screen.progress("reading", 1, keep=False) as line:
        splits = open_data(data, size=pixels, note=screen.say, progress=lambda done, total: line(done / max(total, 1)))
    folder = _folder(out or f"compare-{splits.name}")
    common = [*budget, "--seed", str(start), "--device", device]
    common += [] if size is None else ["--size", str(size)]
    common += [word for change in set for word in ("--set", change)]
    common += ["--quiet"] if screen.quiet else []
    entries, cause = [], 1
    for number, name in enumerate(names, 1):
        screen.say(f"{number} of {len(names)}: {name}, {words}")
        code, result = child.call(["train", name, str(data), *common, "--out", str(folder / "runs" / name)])
        cause = code or cause
        entries.append(_entry(name, result, shown, device, screen))
    if all(entry.failure for entry in entries):
        raise _error(cause, " ".join(f"{entry.name}: {entry.failure}" for entry in entries))
    written = write_report(entries, folder, _heading(splits.name, splits.train, words, range(shown), device))
    screen.say(f"Wrote {written.html}.")
    return Compared(str(written.html), str(folder), splits.name, words, written.facts["models"])


def _names(models: str | Sequence[str] | None) -> list[str]:
    """The models to compare, each once and known."""
    from triptych.catalog import ONE_OF_EACH
    from triptych.recipe import names as known

    words = models.split(",") if isinstance(models, str) else ONE_OF_EACH if models is None else models
    names = list(dict.fromkeys(word.strip() for word in words))
    for name in names:
        if name not in known():
            raise UsageError(f"--models: there is no model {name!r}; {nearest(name, known())}")
    return names


def _budget(for_: float | str | None, images: int | str | None) -> tuple[list[str], str]:
    """The one budget as flags of `train`, and in words."""
    from triptych.quantities import clock, count, seconds

    if for_ is not None and images is not None:
        raise UsageError("--for and --images: a comparison has one equal budget; give one of the two.")
    if images is not None:
        number = count(images, "--images")
        return ["--images", str(number)], f"{number:,} training images"
    span = seconds(DEFAULT if for_ is None else for_, "--for")
    return ["--for", str(span)], f"{clock(span)} of training"


def _folder(out: str) -> Path:
    """The report's folder: new, empty, or that of an earlier comparison."""
    from pathlib import Path

    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give another -o.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "runs").is_dir():
        raise UsageError(f"{folder} holds other files and no comparison; give a new or empty folder to -o.")
    return folder


def _entry(name: str, result: dict[str, Any], shown: int, device: str, screen: Screen) -> Entry:
    """A trained model as an entry of the report: sampled and timed; a failure as one that says why."""
    from pathlib import Path

    from triptych.recipe import about
    from triptych.report import Entry
    from triptych.store import load
    from triptych.training.logbook import read

    entry = Entry(name, about(name).family, about(name).paper, failure=str(result.get("error", "")))
    if not entry.failure:
        fields = ("parameters", "seen", "seconds", "images_per_second", "peak_memory", "memory_of")
        log = read(Path(result["run"]) / "metrics.jsonl")
        entry = entry._replace(**{field: result[field] for field in fields}, log=log)
        screen.say(f"{name}: sampling {shown} images")
        try:
            model = load(result["run"], device)
            made, milliseconds = sampled(model, shown)
            entry = entry._replace(images=made, milliseconds=milliseconds, sampler=_sampler(model))
        except (TriptychError, RuntimeError) as error:
            entry = entry._replace(failure=str(error))
    if entry.failure:
        screen.warn(f"{name}: {entry.failure}")
    return entry


def sampled(model: Model, number: int) -> tuple[Tensor, float]:
    """uint8 images of seeds 0 to number - 1, and the median milliseconds an image in batches of 64.

    Making the images warms up; repeats of one batch then fill about a second.
    """
    import statistics
    import time

    import torch

    from triptych.sampling import generate

    images = [batch.images for batch in generate(model, range(max(number, TIMED)), batch=TIMED)]
    times: list[float] = []
    while sum(times) < 1:
        start = time.perf_counter()
        for _ in generate(model, range(TIMED), batch=TIMED):
            pass
        times.append(time.perf_counter() - start)
    return torch.cat(images)[:number], 1000 * statistics.median(times) / TIMED


def _sampler(model: Model) -> str:
    """How a model samples, by the choices that its `sample` offers: "sampler ddim, steps 50"."""
    import inspect

    choices = inspect.signature(model.sample).parameters.values()
    chosen = {one.name: getattr(model, one.name, one.default) for one in choices}
    return ", ".join(f"{name} {value}" for name, value in chosen.items() if isinstance(value, (str, int)))


def _error(code: int, message: str) -> TriptychError:
    """An error with the exit code of the process that failed."""
    error = TriptychError(message)
    error.code = max(code, 1)
    return error


def _heading(name: str, source: Source, budget: str, seeds: range, device: str) -> Heading:
    """What all models share, with real images drawn at random."""
    from datetime import datetime

    import torch

    from triptych import chance, devices, machine
    from triptych.report import Heading

    chosen = torch.randperm(len(source), generator=chance.generator("shown"))[:REAL].tolist()
    channels, height, width = source.image_shape
    classes = f", {len(source.class_names)} classes" if source.class_names else ""
    return Heading(
        data=name,
        about=f"{len(source):,} training images of {height} × {width} pixels, {COLOURS[channels]}{classes}",
        real=source.read(chosen).images,
        budget=budget,
        machine=machine.describe(str(devices.pick(device))),
        date=datetime.now().astimezone(),
        seeds=seeds,
    )
