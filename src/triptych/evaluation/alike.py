"""Two sets of images have one shape, or a sentence says how many have which and what to do.

`open_data` brings images of different sizes to one, which is right for training. A comparison would
then measure the resizing, so that here nothing is converted unless the user says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from triptych.core import Shape
from triptych.data import Splits, open_data
from triptych.data.packing import Progress, Wish, quiet
from triptych.errors import DataError
from triptych.words import join

LISTED = 5  # shapes in a sentence
Shapes = Mapping[Shape, int]  # how many images have which shape


def opened(where: str | Path, wish: Wish, note: Callable[[str], None], progress: Progress = quiet) -> Splits:
    """What `open_data` opens; but images of one size stay as they are, however large."""
    notes: list[str] = []
    splits = open_data(where, **wish._asdict(), note=notes.append, progress=progress)
    sizes = {(height, width) for _, height, width in splits.shapes}
    if wish.size is None and len(sizes) == 1 and sizes != {splits.train.image_shape[1:]}:
        return open_data(where, **wish._replace(size=sizes.pop())._asdict(), note=note, progress=progress)
    for sentence in notes:
        note(sentence)
    return splits


def require_alike(made: Shapes, real: Shapes, wish: Wish) -> None:
    """Raise a `DataError` with the counts, unless all images have one shape once the wish is met."""
    made, real = _wished(made, wish), _wished(real, wish)
    if len(real) > 1:
        raise DataError(f"The reference is no set of one shape: {_counts(real)}; {_cure(real)}.")
    if set(made) != set(real):
        (shape,) = real
        raise DataError(f"{_counts(made)}, but the reference is {_shape(shape)}; {_cure([*made, shape])}.")


def _wished(shapes: Shapes, wish: Wish) -> Shapes:
    """The shapes with what the user told for all of them."""
    counts = Counter[Shape]()
    for (channels, height, width), count in shapes.items():
        counts[wish.channels or channels, *(wish.size or (height, width))] += count
    return counts


def _counts(shapes: Shapes) -> str:
    """40 images are 32x32x3 and 3 are 64x64x3."""
    most = Counter(shapes).most_common()
    parts = [f"{count:,} {'is' if count == 1 else 'are'} {_shape(shape)}" for shape, count in most[:LISTED]]
    noun = "image" if most[0][1] == 1 else "images"
    parts[0] = parts[0].replace(" ", f" {noun} ", 1)
    rest = sum(count for _, count in most[LISTED:])
    return join([*parts, f"{rest:,} have other shapes"] if rest else parts)


def _shape(shape: Shape) -> str:
    channels, height, width = shape
    return f"{height}x{width}x{channels}"


def _cure(shapes: Mapping[Shape, int] | list[Shape]) -> str:
    flags = ["--size"] if len({shape[1:] for shape in shapes}) > 1 else []
    flags += ["--channels"] if len({shape[0] for shape in shapes}) > 1 else []
    return f"give {join(flags)} to convert both"
