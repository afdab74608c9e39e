"""`triptych evaluate`: generated images against real ones, from a run or from anywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import UsageError, nearest
from triptych.flags import Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.core import Model
    from triptych.data import Splits
    from triptych.data.arrays import ArraySource
    from triptych.data.packing import Wish
    from triptych.evaluation import Evaluated, Judgement, Sides, Skills
    from triptych.extractors import Extractor
    from triptych.leaks import Audit

IMAGES = 2_000  # made of a model where no number is given
SPLITS = ("train", "validation", "everything")


class _Sampling(NamedTuple):
    """How a model is to be sampled, as the user said it."""

    n: int | str | None
    seed: int | str | None
    batch: int | str
    how: dict[str, Any]  # --sampler and so on


def evaluate(
    source: Annotated[Any, Flag("a run, one checkpoint, zoo/NAME, or images: a folder, zip, .npz or pack")],
    *,
    against: Annotated[
        str | None, Flag("the real images (default: what the run was trained on)", metavar="DATA")
    ] = None,
    split: Annotated[str, Flag(f"which side of them: {', '.join(SPLITS)}", metavar="SIDE")] = "train",
    extractor: Annotated[str, Flag("what sees the images; several with commas", metavar="A,B")] = "bundled",
    n: Annotated[
        int | str | None, Flag(f"images made of a model (default: {IMAGES:,})", ("-n", "--images"), "N")
    ] = None,
    seed: Annotated[int | str | None, Flag("the first image's seed (default: 0)", metavar="N")] = None,
    sampler: Annotated[str | None, Flag("the way of sampling, for models with a choice", metavar="NAME")] = None,
    steps: Annotated[int | str | None, Flag("steps of the sampler, for models with steps", metavar="N")] = None,
    schedule: Annotated[str | None, Flag("the noise levels: a name or a file", metavar="NAME")] = None,
    guidance: Annotated[float | str | None, Flag("0 to 100: guidance to the class; 1 is none", metavar="W")] = None,
    batch: Annotated[int | str, Flag("images made at once; changes speed and memory only", metavar="N")] = 64,
    size: Annotated[int | str | None, Flag("bring both to 64 or 48x64 (height x width)", metavar="PIXELS")] = None,
    channels: Annotated[int | str | None, Flag("bring both to 1 to 4 channels", metavar="N")] = None,
    privacy: Annotated[bool, Flag("look for copies of training images, too")] = False,
    fit: Annotated[str | None, Flag("with --size: crop, pad or stretch (default: crop)", metavar="HOW")] = None,
    out: Annotated[
        str | None, Flag("the page (default: RUN/evaluation.html, evaluation-NAME.html)", ("-o", "--out"), "FILE")
    ] = None,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Evaluated:
    """Score generated images against real ones, and write a page with the numbers as JSON beside it.

    All images of a folder count, whoever made them; both sides must have one shape. From Python SOURCE
    may also be a loaded model, or a uint8 tensor (N, C, H, W).
    """
    from triptych.devices import pick
    from triptych.evaluation import Evaluated, judge, remarks
    from triptych.extractors import extractor as named
    from triptych.leaks import facts
    from triptych.report.evaluation import write_evaluation

    how = {"sampler": sampler, "steps": steps, "schedule": schedule, "guidance": guidance}
    place, asked = _place(source, out), _Sampling(n, seed, batch, how)
    if split not in SPLITS:
        raise UsageError(f"--split is {split!r}: {nearest(split, SPLITS)}")
    looks = [named(word.strip(), pick(device)) for word in str(extractor).split(",")]
    model = _model(source, device)
    where = _where(model, against)
    wish = _wish(model, where, size, channels, fit)
    splits = _open(where, wish, "real", screen)
    _same_data(model, where, splits, screen)
    if model is None:
        images, words = _found(source, asked, wish, splits, screen)
    else:
        images, words = _sampled(model, asked, wish, splits, screen)
    sides = _sides(splits, split)
    judgements = [judge(images, sides, look, screen) for look in looks]
    skills = None if model is None else _skills(model, splits, screen)
    audit = _audit(images, splits, looks[0], screen) if privacy else None
    found = Evaluated(
        name=_stem(source),
        made=words,
        against=splits.name,
        judgements=judgements,
        notes=remarks(judgements),
        skills=skills,
        privacy=None if audit is None else facts(audit),
        page=str(place),
        json=str(place.with_suffix(".json")),
    )
    write_evaluation(found, images, sides.real, audit)
    _say(found, screen)
    return found


def _place(source: Any, out: str | None) -> Path:
    """Where the page goes: into a run's folder, else beside the user."""
    from pathlib import Path

    if out is not None:
        if Path(out).suffix.lower() != ".html":
            raise UsageError(f"-o {out}: the page is HTML; give a name that ends in .html.")
        return Path(out)
    run = isinstance(source, (str, Path)) and (Path(source) / "at").is_dir()
    return Path(source) / "evaluation.html" if run else Path(f"evaluation-{_stem(source)}.html")


def _stem(source: Any) -> str:
    """A short name for files and headings."""
    import re
    from pathlib import Path

    name = type(source).__name__
    if isinstance(source, (str, Path)):
        path = Path(source).resolve()
        name = path.stem if path.is_file() else path.name
    return re.sub(r"[^\w.-]+", "-", name) or "images"


def _model(source: Any, device: str) -> Model | None:
    """The model of a run or checkpoint, or the one that Python gave; None where the source is images."""
    from pathlib import Path

    from triptych import zoo
    from triptych.core import Model
    from triptych.store import checkpoints, load

    if isinstance(source, Model):
        return source
    if not isinstance(source, (str, Path)):
        return None
    folder = zoo.place(source)
    trained = any((folder / name).is_file() for name in ("recipe.yaml", "manifest.json")) or checkpoints(folder)
    return load(folder, device) if trained else None


def _data(model: Model | None) -> dict[str, Any]:
    """What the recipe says of the data that a model was trained on; {} where nothing does."""
    data: dict[str, Any] = getattr(model, "recipe", {}).get("data", {})
    return data


def _where(model: Model | None, against: str | None) -> str:
    where = against or _data(model).get("where")
    if where is None:
        raise UsageError("--against is missing: name the real images to compare with.")
    return str(where)


def _wish(model: Model | None, where: str, size: int | str | None, channels: int | str | None, fit: str | None) -> Wish:
    """How both sides are to be: as the user says, else as a model's training images were, else as they are."""
    from triptych import quantities
    from triptych.data.packing import Wish

    sides = None if size is None else quantities.size(size, "--size")
    number = None if channels is None else quantities.count(channels, "--channels", 1, 4)
    data = _data(model)
    if model is None or where != data.get("where"):
        return Wish(sides, number, fit or "crop")
    depth, height, width = model.image_shape
    return Wish(sides or (height, width), number or depth, fit or data["fit"])


def _open(where: Any, wish: Wish, what: str, screen: Screen) -> Splits:
    from triptych.evaluation import opened

    with screen.progress(f"reading {what} images", 1, keep=False) as line:
        return opened(where, wish, screen.say, lambda done, total: line(done / max(total, 1)))


def _same_data(model: Model | None, where: str, splits: Splits, screen: Screen) -> None:
    """A warning where the images that a model was trained on are not those that lie there now."""
    data = _data(model)
    same_shape = splits.train.image_shape == tuple(data.get("image_shape", ()))
    if where == data.get("where") and same_shape and splits.train.fingerprint != data["fingerprint"]:
        screen.warn(f"{where} no longer holds the images that this model was trained on.")


def _found(source: Any, asked: _Sampling, wish: Wish, splits: Splits, screen: Screen) -> tuple[ArraySource, str]:
    """All images of a folder, zip, array or tensor, in the shape of the real ones."""
    import torch

    from triptych.data.arrays import ArraySource
    from triptych.evaluation import require_alike

    flags = {"-n": asked.n, "--seed": asked.seed, **{f"--{name}": value for name, value in asked.how.items()}}
    given = [flag for flag, value in flags.items() if value is not None]
    what = "a tensor" if isinstance(source, torch.Tensor) else str(source)
    if given:
        raise UsageError(f"{given[0]} is for models, and {what} holds images: all of them count; leave it out.")
    if isinstance(source, torch.Tensor):
        if source.dtype != torch.uint8 or source.ndim != 4:
            raise UsageError(f"The tensor is {source.dtype} {tuple(source.shape)}: give uint8 images (N, C, H, W).")
        images = ArraySource(source.cpu().numpy())
        require_alike({images.image_shape: len(images)}, splits.shapes, wish)
        images = images.refitted(*wish)[0]
    else:
        made = _open(source, wish, "generated", screen)
        require_alike(made.shapes, splits.shapes, wish)
        images = made.everything
    return images, f"all {len(images):,} images of {what}"


def _sampled(model: Model, asked: _Sampling, wish: Wish, splits: Splits, screen: Screen) -> tuple[ArraySource, str]:
    """Images of a model, in the shape of the real ones."""
    from triptych.evaluation import generated, require_alike
    from triptych.quantities import count
    from triptych.sampling import chosen

    number = count(IMAGES if asked.n is None else asked.n, "-n", 1)
    first = count(0 if asked.seed is None else asked.seed, "--seed", 0)
    how = chosen(**asked.how)
    require_alike({model.image_shape: number}, splits.shapes, wish)
    seeds = range(first, first + number)
    with screen.progress("sampling", number, keep=False) as line:
        images = generated(model, seeds, batch=count(asked.batch, "--batch", 1, 65536), progress=line, **how)
    words = [
        f"{number:,} images, seeds {first} to {seeds[-1]}",
        *(f"{key} {value}" for key, value in asked.how.items() if value is not None),
    ]
    return images.refitted(*wish)[0], ", ".join(words)


def _sides(splits: Splits, split: str) -> Sides:
    from triptych.evaluation import Sides

    apart = split == "train" and splits.validation is not splits.train
    return Sides(splits.name, getattr(splits, split), split, splits.validation if apart else None)


def _skills(model: Model, splits: Splits, screen: Screen) -> Skills | None:
    from triptych.evaluation import skills

    if splits.train.image_shape != model.image_shape:
        screen.say("Features, reconstructions and likelihoods are not measured: the images have another shape.")
        return None
    return skills(model, splits.train, splits.validation, screen)


def _audit(images: ArraySource, splits: Splits, look: Extractor, screen: Screen) -> Audit:
    """Copies of training images among the generated ones."""
    from triptych.evaluation import read
    from triptych.leaks import audit

    with screen.progress("looking for copies", len(images), keep=False) as line:
        return audit(read(images), splits.train, splits.validation, look, progress=line)


def _say(found: Evaluated, screen: Screen) -> None:
    """The numbers as tables, and what is to be known of them."""
    from triptych.report.evaluation import skill_rows

    for judgement in found.judgements:
        screen.say(judgement.setting.words() + ".")
        _aligned(_table(judgement), screen)
        for score in judgement.scores:
            if score.estimate is None:
                screen.say(f"{score.label}: {score.note}")
    if found.skills:
        number = f"on {found.skills.held_out:,} held-out images"
        _aligned([(number, "value", "95% interval"), *skill_rows(found.skills)], screen)
    if found.privacy:
        copies = found.privacy["copies"]
        screen.say(
            f"Copies: {copies['flagged']:,} of {copies['of']:,} generated images, {copies['per_10_000']:.1f} "
            f"per 10,000 (95% interval {copies['low']:.1f} to {copies['high']:.1f})."
        )
    for note in found.notes:
        screen.say(note)
    screen.say(f"Wrote {found.page}.")


def _table(judgement: Judgement) -> list[Sequence[str]]:
    """One extractor's scores, the head first."""
    from triptych.report.evaluation import worded

    apart = judgement.setting.n_held_out
    held_out = {score.key: worded(score.estimate)[0] for score in judgement.held_out}
    head = ["metric", "value", "95% interval", "better", *([f"held-out real ({apart:,})"] if apart else [])]
    rows: list[Sequence[str]] = [head]
    for score in judgement.scores:
        beside = [held_out[score.key]] if apart else []
        rows.append([score.label, *worded(score.estimate), score.better, *beside])
    return rows


def _aligned(rows: Sequence[Sequence[str]], screen: Screen) -> None:
    """Rows as lines with their columns under each other, however narrow the window."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        screen.say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
