"""A trained contestant as an entry of the report: all that is measured of it, on the common ground."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from triptych import flops, recipe, store
from triptych.comparison.alarms import alarms
from triptych.comparison.ground import LIMIT, Ground
from triptych.comparison.sampling_speed import sampled, speeds, told
from triptych.core import Batch, Model, Source
from triptych.errors import TriptychError
from triptych.evaluation import HELD_OUT, TAUGHT, even, generated, read, skills, summarise
from triptych.evaluation.judging import classes
from triptych.leaks import audit
from triptych.metrics.estimate import Score
from triptych.metrics.neighbours import nearest
from triptych.metrics.table import METRICS, Pair, score
from triptych.report.entries import ClassRow, Copies, Entry, Point, Trial
from triptych.scoring import IMAGES
from triptych.training.logbook import read as read_log
from triptych.training.monitors import SCORE

FIELDS = ("parameters", "seen", "seconds", "images_per_second", "peak_memory", "memory_of", "energy")


class Trained(NamedTuple):
    """What `triptych train` said of one model at one seed: its result, or {"error": why}."""

    seed: int
    code: int  # the exit code
    result: Mapping[str, Any]

    @property
    def failure(self) -> str:
        return str(self.result.get("error", ""))


class Shown(NamedTuple):
    """The first good seed of a contestant, loaded and timed."""

    model: Model
    result: Mapping[str, Any]
    images: Tensor  # uint8 (N, C, H, W)
    milliseconds: float  # an image


def show(trained: Sequence[Trained], number: int, device: str) -> Shown | None:
    """Load and time the first seed that was trained; None where all failed."""
    for one in trained:
        if not one.failure:
            model = store.load(one.result["run"], device)
            return Shown(model, one.result, *sampled(model, number))
    return None


def entry(label: str, model: str, trained: Sequence[Trained], shown: Shown | None, ground: Ground) -> Entry:
    """Everything about one contestant; what fails is said in the entry and does not stop the others."""
    about = recipe.about(model)
    found = Entry(label, about.family, about.paper)
    if shown is None:
        failed = [Trial(one.seed, failure=one.failure) for one in trained]
        return found._replace(failure=trained[0].failure, trials=failed)
    log = read_log(Path(shown.result["run"]) / "metrics.jsonl")
    facts = {field: shown.result[field] for field in FIELDS}
    found = found._replace(
        **facts, log=log, images=shown.images, milliseconds=shown.milliseconds, sampler=told(shown.model)
    )
    try:
        return _measured(found, trained, shown, ground)
    except (TriptychError, RuntimeError) as error:
        return found._replace(failure=str(error))


def _measured(found: Entry, trained: Sequence[Trained], shown: Shown, ground: Ground) -> Entry:
    results = [_trial(one, shown, ground) for one in trained]
    pair, made = next(found for _, found in results if found is not None)
    found = found._replace(trials=[trial for trial, _ in results], classes=_classes(pair, ground))
    ground.screen.say(f"{found.name}: quality against sampling speed")
    tree = shown.model.recipe
    found = found._replace(
        speeds=speeds(shown.model, shown.milliseconds, _main(found), ground),
        training_flops=flops.of_training(tree, ground.splits).mean(int(shown.result["seen"])),
        sampling_flops=flops.of_sampling(shown.model),
    )
    ground.screen.say(f"{found.name}: copies, features")
    quick = shown.milliseconds * (TAUGHT + HELD_OUT) < 1000 * LIMIT  # encoding takes about as long as sampling
    more = skills(shown.model, ground.splits.train, ground.splits.validation, ground.screen) if quick else None
    if more is not None:
        found = found._replace(psnr=more.psnr, ssim=more.ssim, probe=more.probe, bits=more.bits, bits_are=more.bits_are)
    return found._replace(copies=copies(read(made), ground))


def _main(found: Entry) -> Score:
    """The score that the report's curves show: the first that was not refused."""
    of_first = next(trial.scores for trial in found.trials if trial.scores)
    return next((score for score in of_first if score.estimate), of_first[0])


def _trial(one: Trained, shown: Shown, ground: Ground) -> tuple[Trial, tuple[Pair, Source] | None]:
    """One seed: its curve, its scores, its alarms; and the images that were scored."""
    if one.failure:
        return Trial(one.seed, failure=one.failure), None
    model = shown.model if one.result is shown.result else store.load(one.result["run"], ground.device)
    ground.screen.say(f"scoring {ground.images:,} images of {one.result['run']}")
    made = generated(model, range(ground.images), batch=128)
    pair = Pair(ground.real, summarise(read(made), ground.look))
    found = [score(metric, pair) for metric in METRICS]
    log = read_log(Path(one.result["run"]) / "metrics.jsonl")
    curve = [Point(line["seconds"], int(line["seen"]), line[SCORE]) for line in log if SCORE in line]
    curve += _end(one.result, curve, found[0]) if ground.images == IMAGES else []
    return Trial(one.seed, curve, found, alarms=alarms(log, found)), (pair, made)


def _end(result: Mapping[str, Any], curve: Sequence[Point], score: Score) -> list[Point]:
    """The score after all of the training as the curve's last point, where it is the curve's and not there yet."""
    of_the_loop = score.label == SCORE.removeprefix("score/") and score.estimate is not None
    if not of_the_loop or (curve and curve[-1].seen >= result["seen"]):
        return []
    return [Point(result["seconds"], int(result["seen"]), score.estimate.value)]  # type: ignore[union-attr]


def outside(name: str, where: str, source: Source, shown: int, ground: Ground) -> Entry:
    """Images of another tool as an entry: scores, classes and copies; the rest is not known."""
    chosen = even(source, ground.images)
    pair = Pair(ground.real, summarise(read(source, chosen), ground.look))
    found = [score(metric, pair) for metric in METRICS]
    return Entry(
        name,
        "outside",
        where,
        images=source.read(range(min(shown, len(source)))).images,
        trials=[Trial(0, scores=found, alarms=alarms([], found))],
        classes=_classes(pair, ground),
        copies=copies(read(source, chosen), ground),
    )


def _classes(pair: Pair, ground: Ground) -> list[ClassRow]:
    return classes(pair, nearest(pair.x, pair.y), ground.splits.train.class_names)


def copies(made: Iterable[Batch], ground: Ground) -> Copies:
    """Training images among generated ones, as the privacy page finds them."""
    splits = ground.splits
    found = audit(made, splits.train, splits.validation, ground.look, detector=ground.detector).copies
    return Copies(found.flagged, found.of, found.low, found.high, found.per_10_000)
