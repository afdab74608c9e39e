"""One model's images against its training images: copies, the worst pairs, repeats, membership."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from triptych.core import Batch, Shape, Source
from triptych.data.arrays import ArraySource
from triptych.errors import DataError
from triptych.evaluation import read
from triptych.extractors import Extractor
from triptych.leaks.copies import Copies
from triptych.leaks.detector import TWIN, Controls, Detector, Duplicates, Limits, Seen
from triptych.leaks.membership import Loss, Membership, membership
from triptych.leaks.nearest import PixelSearch
from triptych.leaks.planted import DAMAGE

WORST = 20  # pairs shown
REPEATED = 2_000  # generated images that are compared with each other


class Pair(NamedTuple):
    """A generated image beside the training image that it is nearest to."""

    number: int  # of the generated image
    made: Tensor  # uint8 (C, H, W)
    name: str  # of the training image
    real: Tensor  # uint8 (C, H, W)
    distance: float  # levels in the worst patch, to the nearest by pixels
    ratio: float  # nearest over second, in features
    closeness: float  # of the deciding test, in units of its threshold
    flagged: bool


class ClassRow(NamedTuple):
    """Flagged images by the class of the training image that they are nearest to."""

    name: str
    training: int
    of: int
    flagged: int


class Repeats(NamedTuple):
    """Generated images that have a near twin among the generated images."""

    repeated: int
    of: int


class Audit(NamedTuple):
    """All findings about one set of generated images."""

    copies: Copies
    pairs: list[Pair]  # nearest first
    limits: Limits
    controls: Controls
    duplicates: Duplicates
    repeats: Repeats
    classes: list[ClassRow]  # () where the training images have no labels
    membership: Membership | None
    detector: str


def audit(made: Iterable[Batch], train: Source, validation: Source, look: Extractor,
          loss: tuple[str, Loss] | None = None, detector: Detector | None = None,
          progress: Callable[[int], None] = lambda n: None) -> Audit:  # fmt: skip
    """Look for copies of `train` among generated uint8 images, and test the detector on `validation`.

    `detector` saves time where several models were trained on the same images. `loss`, such as
    `membership.loss_of(model, run)` gives, asks for the membership test.
    Raises a `DataError` where there are no images, or of another shape than the training images.
    """
    detector = detector or Detector(train, validation, look)
    images, seen = _look(made, detector, progress)
    flagged = detector.flagged(seen)
    attack = None if loss is None else membership(*loss, train, validation)
    return Audit(
        copies=Copies.of_counts(int(flagged.sum()), len(flagged)),
        pairs=_pairs(images, seen, detector),
        limits=detector.limits,
        controls=detector.controls,
        duplicates=detector.duplicates,
        repeats=repeats(images[:REPEATED]),
        classes=_classes(train, detector.source_of(seen), flagged),
        membership=attack,
        detector=f"pixels (worst patch, mirrored, moved by up to 2 px) and by the features of {detector.look.about}",
    )


def _look(made: Iterable[Batch], detector: Detector, progress: Callable[[int], None]) -> tuple[Tensor, Seen]:
    images: list[Tensor] = []
    seen: list[Seen] = []
    count = 0
    for batch in made:
        shaped(tuple(batch.images.shape[1:]), detector.train.image_shape)
        images.append(batch.images.cpu())
        seen.append(detector.see(images[-1]))
        count += len(images[-1])
        progress(count)
    if not count:
        raise DataError("There are no generated images to look at: give one or more.")
    return torch.cat(images), Seen(*(torch.cat(parts) for parts in zip(*seen, strict=True)))


def shaped(made: tuple[int, ...], real: Shape) -> None:
    """Raise a `DataError` where generated and training images differ in shape."""
    if made != real:
        (c, h, w), (depth, height, width) = made, real
        raise DataError(
            f"The generated images are {h}x{w}x{c} and the training images {height}x{width}x{depth}: bring both to one "
            "size and number of channels."
        )


def repeats(images: Tensor) -> Repeats:
    """Which of uint8 images (B, C, H, W) have a near twin among the others."""
    if len(images) < 2:
        return Repeats(0, len(images))
    near = PixelSearch(ArraySource(images.numpy())).nearest(images, torch.arange(len(images)))
    return Repeats(int((near.distance[:, 0] <= TWIN).sum()), len(images))


def _pairs(images: Tensor, seen: Seen, detector: Detector) -> list[Pair]:
    closeness, sources = detector.closeness(seen), detector.source_of(seen)
    pairs = []
    for row in closeness.argsort()[:WORST].tolist():
        source = int(sources[row])
        real = detector.train.read([source]).images[0]
        pairs.append(Pair(row, images[row], detector.train.names[source], real, float(seen.distance[row]),
                          float(seen.ratio[row]), float(closeness[row]), bool(closeness[row] < 1)))  # fmt: skip
    return pairs


def _classes(train: Source, sources: Tensor, flagged: Tensor) -> list[ClassRow]:
    if not train.class_names:
        return []
    names = train.class_names
    labels = torch.cat([batch.given["labels"] for batch in read(train)])
    training = labels.bincount(minlength=len(names)).tolist()
    of = labels[sources].bincount(minlength=len(names)).tolist()
    copied = labels[sources[flagged]].bincount(minlength=len(names)).tolist()
    return [ClassRow(*row) for row in zip(names, training, of, copied, strict=True)]


def facts(found: Audit) -> dict[str, Any]:
    """An audit as plain values, without its images."""

    def plain(row: Any) -> dict[str, Any]:
        return {key: value for key, value in row._asdict().items() if not isinstance(value, Tensor)}

    attack = found.membership
    return {
        "copies": plain(found.copies) | {"per_10_000": found.copies.per_10_000},
        "pairs": [plain(pair) for pair in found.pairs],
        "limits": plain(found.limits),
        "controls": plain(found.controls) | {"damage": DAMAGE},
        "duplicates": plain(found.duplicates),
        "repeats": plain(found.repeats),
        "classes": [plain(row) for row in found.classes],
        "membership": None if attack is None else plain(attack) | {
            "auc": plain(attack.auc), "at_rates": {rate: plain(value) for rate, value in attack.at_rates.items()}},
        "detector": found.detector,
    }  # fmt: skip
