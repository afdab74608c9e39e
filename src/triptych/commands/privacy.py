"""`triptych privacy`: does a model give its training images away? With controls, as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import UsageError
from triptych.flags import Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.core import Model, Source
    from triptych.data import Splits
    from triptych.leaks import Audit, Detector
    from triptych.report.privacy import Subject

IMAGES = 2_000


class Examined(NamedTuple):
    """What was found, and where it was written."""

    page: str
    json: str
    found: dict[str, Any]


def privacy(
    run: Annotated[str, Flag("a run, one checkpoint, zoo/NAME, or generated images: a folder, zip, .npz or pack")],
    *,
    data: Annotated[str | None, Flag("the training images (default: what the run was trained on)")] = None,
    n: Annotated[int | str, Flag("images made of a model; more narrow the interval", ("-n", "--images"), "N")] = IMAGES,
    seed: Annotated[int | str, Flag("the first image's seed; also draws the controls", metavar="N")] = 0,
    sampler: Annotated[str | None, Flag("the way of sampling, for models with a choice", metavar="NAME")] = None,
    steps: Annotated[int | str | None, Flag("steps of the sampler, for models with steps", metavar="N")] = None,
    extractor: Annotated[str, Flag("what sees the images for the second test", metavar="NAME")] = "bundled",
    out: Annotated[
        str | None, Flag("the page (default: RUN/privacy.html, privacy-NAME.html)", ("-o", "--out"), "FILE")
    ] = None,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Examined:
    """Look for copies of training images among generated ones, and write a page and the same as JSON.

    The detector's thresholds are set on real images, and its controls are part of the page. The
    copy rate is for this many images of this model: none among N leaves up to 3.7/N possible.
    """
    from pathlib import Path

    from triptych.devices import pick
    from triptych.extractors import extractor as named
    from triptych.leaks import Detector
    from triptych.quantities import count
    from triptych.report.privacy import write_privacy
    from triptych.store import load

    number, first = count(n, "-n", 1, 1_000_000), count(seed, "--seed", 0)
    how: dict[str, Any] = {} if sampler is None else {"sampler": sampler}
    how |= {} if steps is None else {"steps": count(steps, "--steps", 1, 1_000_000)}
    source = Path(run)
    model = load(source, device) if _trained(source) else None
    place = _place(source, out, model is not None)
    look = named(extractor, pick(device))
    splits, notes = _real(model, data, screen)
    if model is None:
        made, words = _given(source, splits, screen), f"all images of {source}"
    else:
        made, words = _sampled(model, range(first, first + number), how, screen)
    with screen.progress("setting the detector", 1, keep=False) as line:
        detector = Detector(splits.train, splits.validation, look, first, progress=lambda done, of: line(done / of))
    found = _audit(made, splits, detector, model, source, screen)
    facts = write_privacy(found, _subject(source, splits, words, model, notes), place)
    _say(found, screen)
    screen.say(f"Wrote {place}.")
    return Examined(str(place), str(place.with_suffix(".json")), facts)


def _trained(source: Path) -> bool:
    """Whether this is a run or a checkpoint, and not images."""
    from triptych import zoo

    return any((zoo.place(source) / name).is_file() for name in ("recipe.yaml", "manifest.json"))


def _place(source: Path, out: str | None, trained: bool) -> Path:
    from pathlib import Path

    if out is not None and Path(out).suffix.lower() != ".html":
        raise UsageError(f"-o {out}: the page is HTML; give a name that ends in .html.")
    if out is not None:
        return Path(out)
    return source / "privacy.html" if trained and (source / "at").is_dir() else Path(f"privacy-{_name(source)}.html")


def _name(source: Path) -> str:
    return source.resolve().stem or "images"


def _real(model: Model | None, data: str | None, screen: Screen) -> tuple[Splits, list[str]]:
    """The training images as the model had them, and a sentence where they are not those."""
    from triptych.data.packing import Wish
    from triptych.evaluation import opened

    facts = {} if model is None else model.recipe["data"]
    where = data or facts.get("where")
    if where is None:
        raise UsageError("--data is missing: name the images that the model was trained on.")
    wish = Wish(None, None, "crop")
    if model is not None:
        channels, height, width = model.image_shape
        wish = Wish((height, width), channels, facts["fit"])
    with screen.progress("reading training images", 1, keep=False) as line:
        splits = opened(where, wish, screen.say, lambda done, total: line(done / max(total, 1)))
    if model is None or splits.train.fingerprint == facts["fingerprint"]:
        return splits, []
    note = f"The training images of {where} are not those that the model was trained on: copies of others are missed."
    screen.warn(note)
    return splits, [note]


def _given(source: Path, splits: Splits, screen: Screen) -> Source:
    """Images from anywhere, of the shape of the training images."""
    from triptych.data.packing import Wish
    from triptych.evaluation import opened
    from triptych.leaks.audit import shaped

    with screen.progress("reading generated images", 1, keep=False) as line:
        made = opened(source, Wish(None, None, "crop"), screen.say, lambda done, total: line(done / max(total, 1)))
    shaped(made.everything.image_shape, splits.train.image_shape)
    return made.everything


def _sampled(model: Model, seeds: range, how: dict[str, Any], screen: Screen) -> tuple[Source, str]:
    from triptych.evaluation import generated

    with screen.progress("sampling", len(seeds), keep=False) as line:
        made = generated(model, seeds, progress=line, **how)
    chosen = [f"{key} {value}" for key, value in how.items()]
    return made, ", ".join([f"{len(seeds):,} images, seeds {seeds[0]} to {seeds[-1]}", *chosen])


def _audit(
    made: Source, splits: Splits, detector: Detector, model: Model | None, source: Path, screen: Screen
) -> Audit:
    from triptych.evaluation import read
    from triptych.leaks import audit
    from triptych.leaks.membership import loss_of

    loss = None if model is None else loss_of(model, source)
    with screen.progress("looking for copies", len(made), keep=False) as line:
        return audit(read(made), splits.train, splits.validation, detector.look, loss, detector, line)


def _subject(source: Path, splits: Splits, words: str, model: Model | None, notes: list[str]) -> Subject:
    from triptych.intake import json_of, text_of
    from triptych.report.privacy import Subject
    from triptych.store import locate

    passes = None
    if model is not None:
        manifest = json_of(text_of(locate(source) / "manifest.json"))  # verified when the model was loaded
        passes = manifest["seen"] / max(1, model.recipe["data"]["images"])
    return Subject(_name(source), splits.name, words, passes, notes)


def _say(found: Audit, screen: Screen) -> None:
    """The finding in a sentence, and the counts as a short table."""
    from triptych.report.privacy import rows, verdict

    copies, *others = rows(found)
    screen.say(verdict(found))
    screen.say(f"That is {copies.words}.")
    counts = [(row.label, f"{row.found:,}", f"{row.of:,}", row.words) for row in others]
    screen.table(("", "found", "of", ""), counts)
    screen.say(found.limits.promise[:1].upper() + found.limits.promise[1:] + ".")
