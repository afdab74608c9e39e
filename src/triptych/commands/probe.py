"""`triptych probe`: how much of the class the features of a model hold, beside those that cost nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import DataError
from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.data import Splits
    from triptych.data.arrays import ArraySource
    from triptych.features import Encoder
    from triptych.metrics.estimate import Estimate

IMAGES = 5_000  # of each side, at most
SIDE = 32  # px of the images whose pixels are probed, at most: thousands of values, not hundreds of thousands


class Row(NamedTuple):
    """One kind of features; the accuracies are shares of the held-out images, with exact 95% intervals."""

    name: str
    features: int
    linear: Estimate  # multinomial logistic regression
    neighbours: Estimate  # the vote of the nearest training images


class Probed(NamedTuple):
    """What the features of a model are worth."""

    data: str
    taught: int  # training images
    held_out: int  # images judged
    classes: int
    rows: list[Row]  # encoded, pixels, PCA
    largest_class: Estimate  # always answering the class that most training images have


def probe(
    run: Annotated[Any, Flag(RUN)],
    data: Annotated[str | None, Flag("images with classes (default: what the run was trained on)")] = None,
    *,
    n: Annotated[
        int | str, Flag("at most so many images of each side, an even sample", ("-n", "--images"), "N")
    ] = IMAGES,
    critic: Annotated[bool, Flag("features of the critic that the model was trained against, not the model's")] = False,
    batch: Annotated[int | str, Flag("images encoded at once", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Probed:
    """Read the class out of a model's features, by a linear map and by 5 neighbours, beside pixels and PCA.

    Learnt from DATA's training images and judged on its validation images. From Python RUN may be a loaded model.
    """
    from triptych.features import encoder
    from triptych.metrics.probe import NEIGHBOURS
    from triptych.quantities import count

    most, size = count(n, "-n", 1, 1_000_000), count(batch, "--batch", 1, 65536)
    seer = encoder(run, device, critic)
    taught, tested, name = _sides(seer.data(data, screen.say), most)
    kinds = _kinds(seer, taught, tested, size, screen)
    with screen.progress("probing", len(kinds), keep=False) as line:
        rows = [_row(*kind, taught, tested, done, line) for done, kind in enumerate(kinds)]
    found = Probed(name, len(taught), len(tested), len(taught.class_names), rows, _largest(taught, tested))
    screen.say(
        f"Learnt from {found.taught:,} images of {name}, right on so many of {found.held_out:,} held-out ones "
        "(95% interval):"
    )
    screen.table(
        ("features", "number", "linear probe", f"{NEIGHBOURS} neighbours"),
        [(row.name, row.features, _words(row.linear), _words(row.neighbours)) for row in rows]
        + [("largest class", "", _words(found.largest_class), "")],
    )
    return found


def _sides(splits: Splits, most: int) -> tuple[ArraySource, ArraySource, str]:
    """Training and held-out images with classes that can be probed, or a `DataError` that says why not."""
    import numpy as np

    from triptych.evaluation import even
    from triptych.words import join

    labels = splits.everything.labels
    if labels is None:
        raise DataError(f"{splits.name} has no classes: give a folder of images for each class.")
    counts = np.bincount(labels, minlength=len(splits.everything.class_names))
    if (counts > 0).sum() < 2:
        raise DataError(f"All images of {splits.name} are of one class: give folders of two classes or more.")
    single = [repr(name) for name, images in zip(splits.everything.class_names, counts, strict=True) if images == 1]
    if single:
        more = " and others" if len(single) > 5 else ""
        raise DataError(
            f"{splits.name} has a single image of class {join(single[:5])}{more}: "
            "a class needs one to learn from and one to be judged; add images or leave the class out."
        )
    if splits.train is splits.validation:
        raise DataError(f"All images of {splits.name} are the same: none can be held out; add images.")
    taught, tested = (side.subset(np.asarray(even(side, most))) for side in (splits.train, splits.validation))
    return taught, tested, splits.name


def _kinds(
    seer: Encoder, taught: ArraySource, tested: ArraySource, size: int, screen: Screen
) -> list[tuple[str, Tensor, Tensor]]:
    """Each kind of features: its name, training rows and held-out rows."""
    from triptych.features import features
    from triptych.metrics.probe import principal

    with screen.progress("encoding", len(taught) + len(tested)) as line:
        known = features(seer, taught, size, progress=line)
        asked = features(seer, tested, size, progress=lambda done: line(len(taught) + done))
    pixels, beside = _pixels(taught), _pixels(tested)
    return [
        ("encoded", known, asked),
        ("pixels", pixels, beside),
        ("PCA of pixels", *principal(pixels, beside, known.shape[1])),
    ]


def _pixels(source: ArraySource) -> Tensor:
    """The images as rows of floats, reduced where a side is longer than `SIDE`."""
    import torch

    from triptych.evaluation import read
    from triptych.extractors.seeing import resized
    from triptych.pixels import to_float

    _, height, width = source.image_shape
    sides = min(height, SIDE), min(width, SIDE)
    return torch.cat([resized(to_float(part.images), sides, "bilinear").flatten(1) for part in read(source)])


def _row(
    name: str, known: Tensor, asked: Tensor, taught: ArraySource, tested: ArraySource, done: int, line: Any
) -> Row:
    """Both accuracies of one kind of features."""
    import torch

    from triptych.metrics.estimate import share
    from triptych.metrics.probe import linear_guesses, neighbour_guesses

    labels, right = torch.as_tensor(taught.labels), torch.as_tensor(tested.labels)
    line(done, name)
    linear, near = (
        share(int((guesses(known, labels, asked) == right).sum()), len(right))
        for guesses in (linear_guesses, neighbour_guesses)
    )
    return Row(name, known.shape[1], linear, near)


def _largest(taught: ArraySource, tested: ArraySource) -> Estimate:
    import numpy as np

    from triptych.metrics.estimate import share

    labels, right = (np.asarray(side.labels) for side in (taught, tested))
    return share(int((right == np.bincount(labels).argmax()).sum()), len(right))


def _words(found: Estimate) -> str:
    return f"{found.value:.1%} ({100 * found.low:.1f} to {100 * found.high:.1f})"
