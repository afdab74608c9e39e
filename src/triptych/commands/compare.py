"""`triptych compare`: several models under one budget, each in a process of its own, and a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import UsageError
from triptych.flags import Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.comparison.contest import Rules
    from triptych.data.arrays import ArraySource
    from triptych.data.packing import Wish
    from triptych.report import Report

DEFAULT = "30s"


class Compared(NamedTuple):
    """What was written, the verdict, and the report's numbers for each model."""

    report: str
    folder: str
    data: str
    budget: str
    verdict: list[str]
    models: list[dict[str, Any]]


def compare(
    data: Annotated[str, Flag("a data set's name, a folder or zip of images, an .npz, or a pack")],
    *,
    models: Annotated[
        str | Sequence[str] | None,
        Flag("which models, each as [LABEL=]NAME[@FILE.yaml] (default: one of each family)", metavar="A,B,C"),
    ] = None,
    for_: Annotated[
        float | str | None, Flag(f"train each for so long (default: {DEFAULT})", ("--for",), "TIME")
    ] = None,
    images: Annotated[int | str | None, Flag("instead: train each until it saw so many images", metavar="N")] = None,
    flops: Annotated[
        float | str | None, Flag("instead: train each for so many operations: 1e15, 300T", metavar="N")
    ] = None,
    seed: Annotated[int | str, Flag("the first training seed", metavar="N")] = 0,
    seeds: Annotated[int | str, Flag("train each so many times, from one seed after the other", metavar="N")] = 1,
    folder: Annotated[
        Iterable[str] | Mapping[str, str],
        Flag("images of another tool take part too: theirs=samples/", many=True, metavar="NAME=PATH"),
    ] = (),
    outside: Mapping[str, Callable[[int], Any]] | None = None,
    out: Annotated[str | None, Flag("the report's folder (default: compare-DATA)", ("-o", "--out"), "FOLDER")] = None,
    device: Device = "auto",
    extractor: Annotated[
        str, Flag("what looks at the images, see 'triptych evaluate --help'", metavar="NAME")
    ] = "bundled",
    scored: Annotated[
        int | str, Flag("generated images behind each score; fewer where a model samples slowly", metavar="N")
    ] = 1000,
    samples: Annotated[int | str, Flag("images shown of each model, at seeds 0, 1, ...", metavar="N")] = 64,
    size: Annotated[int | str | None, Flag("bring images to 64 or 48x64 (height x width)", metavar="PIXELS")] = None,
    channels: Annotated[int | str | None, Flag("1 grey, 2 grey+alpha, 3 RGB, 4 RGBA (default: as the data)")] = None,
    fit: Annotated[str, Flag("crop, pad or stretch images of another shape", metavar="HOW")] = "crop",
    set: Annotated[
        Iterable[str],
        Flag("change a value of every recipe (batch=64) or of one (LABEL:batch=64)", many=True, metavar="KEY=VALUE"),
    ] = (),
    screen: Screen = SCREEN,
) -> Compared:
    """Train models on DATA one after the other under one equal budget, score them, and write a report.

    The same line again goes on where it stopped. A model that fails does not stop the others.
    Time counts training steps alone: neither scores nor pictures are part of it. From Python,
    `outside` may hold other generators: {name: number -> uint8 tensor (number, C, H, W)}.
    """
    from triptych import devices
    from triptych.comparison.contest import judged, train_all
    from triptych.comparison.contestants import contestants
    from triptych.data.packing import Wish
    from triptych.quantities import count
    from triptych.quantities import size as sides
    from triptych.report import write_report

    players = contestants(models, [set] if isinstance(set, str) else set)
    budget, words = _budget(for_, images, flops)
    first, times = count(seed, "--seed", 0), count(seeds, "--seeds", 1, 100)
    numbers = count(samples, "--samples", 1, 1024), count(scored, "--scored", 1, 1_000_000)
    depth = None if channels is None else count(channels, "--channels", 1, 4)
    wish = Wish(None if size is None else sides(size, "--size"), depth, fit)
    rules = _rules(str(data), wish, words, numbers, extractor, devices.pick(device), screen)
    place = _folder(out or f"compare-{rules.splits.name}")
    others = _others(folder, outside, [one.label for one in players], wish, rules)
    line = [str(data), *budget, *_flags(wish), "--device", device]
    seeds_ = range(first, first + times)
    trained = train_all(players, seeds_, line + ["--quiet"] * screen.quiet, place / "runs", rules)
    entries, heading = judged(trained, others, rules)
    written = write_report(entries, place, heading)
    return _said(written, rules, screen)


def _rules(
    data: str, wish: Wish, budget: str, numbers: tuple[int, int], extractor: str, device: Any, screen: Screen
) -> Rules:
    """The data opened, the extractor found."""
    from triptych.comparison.contest import Rules
    from triptych.data import open_data
    from triptych.extractors import extractor as looking

    look = looking(extractor, device)
    with screen.progress("reading", 1, keep=False) as line:
        splits = open_data(
            data, **wish._asdict(), note=screen.say, progress=lambda done, total: line(done / max(total, 1))
        )
    return Rules(budget, *numbers, splits, look, device, screen)


def _flags(wish: Wish) -> list[str]:
    """How the images are to be, as flags of `train`."""
    size = [] if wish.size is None else ["--size", f"{wish.size[0]}x{wish.size[1]}"]
    channels = [] if wish.channels is None else ["--channels", str(wish.channels)]
    return [*size, *channels, "--fit", wish.fit]


def _said(written: Report, rules: Rules, screen: Screen) -> Compared:
    """The verdict on the screen, and the result."""
    verdict = [str(sentence) for sentence in written.facts["verdict"]]
    for sentence in verdict:
        screen.say(sentence)
    screen.say(f"Wrote {written.html}.")
    folder, models = str(written.html.parent), written.facts["models"]
    return Compared(str(written.html), folder, rules.splits.name, rules.budget, verdict, models)


def _budget(for_: float | str | None, images: int | str | None, flops: float | str | None) -> tuple[list[str], str]:
    """The one budget as flags of `train`, and in words."""
    from triptych.quantities import clock, count, operations, seconds
    from triptych.words import short

    if sum(value is not None for value in (for_, images, flops)) > 1:
        raise UsageError("--for, --images and --flops: a comparison has one equal budget; give one of them.")
    if images is not None:
        number = count(images, "--images")
        return ["--images", str(number)], f"{number:,} training images"
    if flops is not None:
        work = operations(flops, "--flops")
        return ["--flops", str(work)], f"{short(work / 1e12)} TFLOP of training"
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


def _others(
    folder: Iterable[str] | Mapping[str, str],
    outside: Mapping[str, Callable[[int], Any]] | None,
    taken: Sequence[str],
    wish: Wish,
    rules: Rules,
) -> dict[str, tuple[str, ArraySource]]:
    """Images from elsewhere, of the shape of the data: {name: (where they come from, images)}."""
    from triptych.comparison.contestants import folders
    from triptych.data.arrays import ArraySource
    from triptych.evaluation import opened, require_alike

    found = {}
    given = folders([folder] if isinstance(folder, str) else folder, taken)
    real = {rules.splits.train.image_shape: len(rules.splits.train)}
    for name, path in given.items():
        theirs = opened(path, wish, rules.screen.say)
        require_alike(theirs.shapes, real, wish)
        found[name] = path, theirs.everything
    for name, make in (outside or {}).items():
        images = ArraySource(make(rules.scored).numpy())
        require_alike({images.image_shape: len(images)}, real, wish)
        found[name] = "a generator given from Python", images
    return found
