"""`triptych neighbours`: the images of a data set that a model finds most like a given one, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import UsageError, nearest
from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.data.arrays import ArraySource
    from triptych.features import Encoder


class Neighbour(NamedTuple):
    """One image of the data."""

    name: str
    distance: float
    label: str | None  # its class, where the data has classes


class Near(NamedTuple):
    """An image and its neighbours, the nearest first."""

    query: str
    neighbours: list[Neighbour]


class Searched(NamedTuple):
    """What was found, and where it is drawn."""

    path: str
    metric: str
    images: int  # searched
    found: list[Near]


def neighbours(
    run: Annotated[Any, Flag(RUN)],
    data: Annotated[str, Flag("what is searched: a data set's name, a folder or zip of images, an .npz, or a pack")],
    queries: Annotated[list[str], Flag("image files whose neighbours are sought", metavar="QUERY", several=True)],
    *,
    k: Annotated[int | str, Flag("neighbours of each image", ("-k",), "N")] = 8,
    metric: Annotated[str, Flag("euclidean, or cosine: 1 - cos of the angle", metavar="NAME")] = "euclidean",
    out: Annotated[str, Flag("x.png: a row for each query, itself first", ("-o", "--out"), "FILE")] = "neighbours.png",
    critic: Annotated[bool, Flag("features of the critic that the model was trained against, not the model's")] = False,
    batch: Annotated[int | str, Flag("images encoded at once", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Searched:
    """Find the images of DATA nearest to each QUERY in the features of the model of RUN, and draw them.

    An image of DATA with the very pixels of a query comes first, at distance 0.
    """
    from triptych import quantities
    from triptych.features import encoder
    from triptych.gallery import picture
    from triptych.metrics.neighbours import METRICS, closest
    from triptych.pixels import write_png

    path = picture(out)
    if metric not in METRICS:
        raise UsageError(f"--metric is {metric!r}: {nearest(metric, METRICS)}")
    wanted, size = quantities.count(k, "-k", 1, 1000), quantities.count(batch, "--batch", 1, 65536)
    seer = encoder(run, device, critic)
    asked, source = seer.images(queries), seer.data(data, screen.say).everything
    if wanted > len(source):
        raise UsageError(f"-k is {wanted}, but {data} holds {len(source):,} images; give at most so many.")
    known, seen = _features(seer, source, asked, size, screen)
    apart, rows = closest(known, seen, wanted, metric)
    found = [
        Near(name, [_neighbour(source, *pair) for pair in zip(row.tolist(), far.tolist(), strict=True)])
        for name, row, far in zip(asked.names, rows, apart, strict=True)
    ]
    write_png(_picture(asked, source, rows), path)
    screen.table(
        ("query", "nearest", "distance", "class"),
        [(near.query, one.name, f"{one.distance:.4g}", one.label or "") for near in found for one in near.neighbours],
    )
    screen.say(f"Wrote {path}: for each query the {wanted} nearest of {len(source):,} images.")
    return Searched(out, metric, len(source), found)


def _features(
    seer: Encoder, source: ArraySource, asked: ArraySource, size: int, screen: Screen
) -> tuple[Tensor, Tensor]:
    """Features of the data and of the queries; equal pixels have equal ones, whatever the batch around them."""
    from triptych.features import features

    with screen.progress("encoding", len(source) + len(asked)) as line:
        known = features(seer, source, size, progress=line)
        seen = features(seer, asked, size, progress=lambda done: line(len(source) + done))
    places = {digest.tobytes(): row for row, digest in reversed([*enumerate(source.digests)])}
    for index, digest in enumerate(asked.digests):
        if digest.tobytes() in places:
            seen[index] = known[places[digest.tobytes()]]
    return known, seen


def _neighbour(source: ArraySource, row: int, distance: float) -> Neighbour:
    label = None if source.labels is None else source.class_names[source.labels[row]]
    return Neighbour(source.names[row], distance, label)


def _picture(asked: ArraySource, source: ArraySource, rows: Tensor) -> Tensor:
    """A row for each query: itself, then its neighbours."""
    import torch

    from triptych.pixels import grid

    queries, k = asked.read(range(len(asked))).images, rows.shape[1]
    found = source.read(rows.flatten().tolist()).images.view(len(asked), k, *source.image_shape)
    return grid(torch.cat([queries[:, None], found], 1).flatten(0, 1), k + 1)
