"""`triptych anomalies`: which images a model finds strange, with a threshold that keeps a promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from triptych.core import Model, Source
    from triptych.data.arrays import ArraySource
    from triptych.insight import Anomalies
    from triptych.report.anomalies import Subject, Worst

SHOWN = 24  # images on the page


class Found(NamedTuple):
    """What was found, and where it was written."""

    page: str
    csv: str
    found: dict[str, Any]


def anomalies(
    run: Annotated[str, Flag(RUN)],
    data: Annotated[Any, Flag("a data set's name, a folder or zip of images, an .npz, or a pack")],
    *,
    normal: Annotated[
        str | None, Flag("normal images that the model never saw (default: held out of the run's)", metavar="DATA")
    ] = None,
    share: Annotated[float | str, Flag("of new normal images are flagged at most", metavar="SHARE")] = "1%",
    by: Annotated[
        str | None, Flag("likelihood (default where the model scores) or reconstruction", metavar="WAY")
    ] = None,
    samples: Annotated[
        int | str | None, Flag("draws behind each bound, for models whose score is one", metavar="K")
    ] = None,
    seed: Annotated[int | str, Flag("image i is scored with the noise of seed + i", metavar="N")] = 0,
    out: Annotated[str, Flag("a folder for index.html and anomalies.csv", ("-o", "--out"), "PATH")] = "anomalies",
    batch: Annotated[int | str, Flag("images at once; changes speed and memory only", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Found:
    """Score the images of DATA, flag those stranger than normal ones, and write a page with the strangest.

    Classes of DATA are each compared with the normal images, by the model and by plain distance in pixels.
    """
    from triptych import insight, quantities
    from triptych.devices import pick
    from triptych.gallery import folder_for
    from triptych.report.anomalies import write_anomalies
    from triptych.store import load

    part, first = quantities.share(share, "--share"), quantities.count(seed, "--seed", 0)
    wished = None if samples is None else quantities.count(samples, "--samples", 1, 1_000_000)
    size, folder = quantities.count(batch, "--batch", 1, 65536), folder_for(out)
    model = load(run, pick(device))
    way = insight.strangeness(model, by, first, wished, size)
    given = insight.asked(model, data, screen.say)
    calm, train, subject = _normal(model, run, data, normal, screen)
    with screen.progress("scoring", len(given) + len(calm)) as line:
        found = insight.anomalies(way.score, given, calm, part, train, line)
    worst = _worst(model, given, found)
    facts = write_anomalies(found, way, _noted(subject, found), given, worst, folder)
    _say(found, screen)
    screen.say(f"Wrote {folder}.")
    return Found(str(folder / "index.html"), str(folder / "anomalies.csv"), facts)


def _normal(
    model: Model, run: str, data: Any, normal: str | None, screen: Screen
) -> tuple[ArraySource, ArraySource | None, Subject]:
    """The normal images, what the model was trained on where that is at hand, and words for both."""
    from pathlib import Path

    from triptych.insight import asked, own
    from triptych.report.anomalies import Subject

    name = Path(run).resolve().name
    if normal is not None:
        words = f"all images of {normal}"
        return asked(model, normal, screen.say), None, Subject(name, str(data), words, "the nearest other normal image")
    splits = own(model, screen.say)
    words = f"held out of {splits.name}"
    return (
        splits.validation,
        splits.train,
        Subject(name, str(data), words, f"the nearest training image of {splits.name}"),
    )


def _noted(subject: Subject, found: Anomalies) -> Subject:
    """The subject with a sentence where images are given that the model was trained on."""
    count = int(found.trained_on.sum())
    if not count:
        return subject
    note = f"The model was trained on {count:,} of these {len(found.scores):,} images, which makes them look normal."
    return subject._replace(notes=[note])


def _worst(model: Model, source: Source, found: Anomalies) -> Worst:
    """The strangest images with their reconstructions, where the model encodes."""
    from triptych.core import Encodes
    from triptych.insight import reconstructed
    from triptych.report.anomalies import Worst

    rows = found.order()[:SHOWN]
    if not isinstance(model, Encodes):
        return Worst(rows, source.read(rows).images)
    (again,) = reconstructed(model, source, batch=SHOWN, rows=rows)
    return Worst(rows, *again)


def _say(found: Anomalies, screen: Screen) -> None:
    """The finding, its promise, and the classes."""
    from triptych.report.anomalies import promise, verdict

    screen.say(verdict(found))
    screen.say(promise(found.limit))
    if found.classes:
        rows = [(row.name, f"{row.of:,}", f"{row.auc.value:.3f}", f"{row.pixels.value:.3f}") for row in found.classes]
        screen.table(("class", "images", "AUROC", "of pixel distance"), rows)
