"""`triptych pack`: decode, crop and resize a folder of images once, and say what became of each."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from triptych.flags import Flag
from triptych.screen import SCREEN, Line, Screen

if TYPE_CHECKING:
    from triptych.data.packing import PackReport

FILES_SHOWN = 20  # of each kind, on screen; the pack's own report lists them all


def pack(
    data: Annotated[
        Sequence[str],
        Flag("a folder, zip or tars of images, an .npz, a pack, hf:NAME, or a data set's name", several=True),
    ],
    out: Annotated[str, Flag("the pack to write, such as photos.pack")],
    *,
    size: Annotated[
        int | str | None, Flag("64 or 48x64, height x width (default: as they are)", metavar="PIXELS")
    ] = None,
    channels: Annotated[
        int | str | None, Flag("1 grey, 2 with alpha, 3 RGB, 4 RGBA (default: all)", metavar="N")
    ] = None,
    fit: Annotated[str, Flag("crop, pad or stretch images of another shape", metavar="HOW")] = "crop",
    screen: Screen = SCREEN,
) -> PackReport:
    """Turn DATA into the pack OUT: one array of pixels that is read at memory speed.

    Says for each file what was converted or why it was refused. The same line again finds the pack
    as it is.
    """
    from triptych.data.opening import pack as write
    from triptych.quantities import count
    from triptych.quantities import size as sides

    wished = None if size is None else sides(size, "--size")
    depth = None if channels is None else count(channels, "--channels", 1, 4)
    with screen.progress("packing", 1, keep=False) as line:
        report = write(
            data, out, size=wished, channels=depth, fit=fit, note=screen.say,
            progress=_paced(line),
        )  # fmt: skip
    _tell(report, screen)
    return report


def _paced(line: Line) -> Callable[[int, int], None]:
    """The progress of files, with how many a second; those of an interrupted packing do not count."""
    begun, first = time.monotonic(), 0

    def progress(done: int, total: int) -> None:
        nonlocal begun, first
        if not first:
            begun, first = time.monotonic(), done
        rate = (done - first) / max(time.monotonic() - begun, 1e-9)
        line(done / max(total, 1), f"{done:,} of {total:,} files, {rate:,.0f}/s")

    return progress


def _tell(report: PackReport, screen: Screen) -> None:
    """The report as tables: how many files met each fate, and which were refused."""
    channels, height, width = report.image_shape
    if report.converted:
        fates = Counter(_fate(note) for _, note in report.converted)
        rows = [(fate, number, _first(report.converted, fate)) for fate, number in fates.most_common()]
        screen.table(("converted", "files", "such as"), rows)
    if report.refused:
        shown = report.refused[:FILES_SHOWN]
        screen.table(("refused", "why"), shown)
        if len(report.refused) > len(shown):
            screen.say(f"and {len(report.refused) - len(shown):,} more, listed in {report.path}/pack.json")
    classes = f" in {len(report.class_names)} classes" if report.class_names else ""
    texts = f", {report.texts:,} with a text" if report.texts else ""
    what = f"{report.images:,} images of {height}x{width}x{channels}{classes}{texts}"
    screen.say(f"{report.path}: {what}, {len(report.refused):,} refused.")


def _fate(note: str) -> str:
    """A note without the one file's size."""
    return re.sub(r" from \d+x\d+", "", note)


def _first(pairs: tuple[tuple[str, str], ...], fate: str) -> str:
    return next(file for file, note in pairs if _fate(note) == fate)
