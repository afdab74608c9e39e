"""`triptych score`: how probable a model finds each image, in nats and bits/dim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from triptych.flags import RUN, Device, Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.data.arrays import ArraySource
    from triptych.insight import Scored
    from triptych.metrics.estimate import Estimate


class Scoring(NamedTuple):
    """What was written, and the means over all images."""

    path: str
    images: int
    nats: Estimate  # log-probability of an image
    bits: Estimate  # bits/dim
    bound: bool  # True: the true nats are no lower, the true bits no higher
    samples: int | None  # weighted draws an image; None where the model draws none
    by: str = ""  # what was computed, in words, where the model knows several ways


def score(
    run: Annotated[str, Flag(RUN)],
    data: Annotated[str, Flag("a data set's name, a folder or zip of images, an .npz, a pack, or an image")],
    *,
    out: Annotated[str, Flag("x.csv or x.npz: a row for each image", ("-o", "--out"), "FILE")] = "scores.csv",
    samples: Annotated[
        int | str | None, Flag("draws behind each bound, for models whose score is one; more is tighter", metavar="K")
    ] = None,
    by: Annotated[
        str | None, Flag("for models with several: variational (default), ancestral, flow, exact-flow", metavar="WAY")
    ] = None,
    seed: Annotated[int | str, Flag("image i is scored with the noise of seed + i", metavar="N")] = 0,
    batch: Annotated[int | str, Flag("images at once; changes speed and memory only", metavar="N")] = 64,
    device: Device = "auto",
    screen: Screen = SCREEN,
) -> Scoring:
    """The log-likelihood of every image of DATA under the model of RUN, brought to the model's size."""
    from triptych.devices import pick
    from triptych.gallery import place_for
    from triptych.insight import asked, log_likelihoods
    from triptych.insight.likelihood import samples_of
    from triptych.metrics.bootstrap import interval_of_mean
    from triptych.quantities import count
    from triptych.store import load

    path, size, first = place_for(out, ".csv", ".npz"), count(batch, "--batch", 1, 65536), count(seed, "--seed", 0)
    wished = None if samples is None else count(samples, "--samples", 1, 1_000_000)
    model = load(run, pick(device))
    samples_of(model, wished, by)
    source = asked(model, data, screen.say)
    with screen.progress("scoring", len(source)) as line:
        found = log_likelihoods(model, source, first, wished, size, line, by)
    _write(path, source, found)
    result = Scoring(out, len(source), interval_of_mean(found.nats), interval_of_mean(found.bits), found.bound,
                     found.samples, found.by)  # fmt: skip
    what = f"{len(source):,} images, on average" if len(source) > 1 else "one image with"
    screen.say(f"Wrote {path}: {what} {_words(result)}.")
    return result


def _words(found: Scoring) -> str:
    """The means with their intervals, and whether they are bounds."""
    drawn = f", from {found.samples} draw{'s' * (found.samples != 1)} an image" if found.samples else ""
    by = f" by {found.by}" if found.by else ""
    kind = f"a lower bound on the nats and an upper one on the bits{by}{drawn}" if found.bound else f"exact{drawn}"
    spread = [f" (95% interval {e.low:.{digits}f} to {e.high:.{digits}f})" if found.images > 1 else ""
              for e, digits in ((found.nats, 2), (found.bits, 3))]  # fmt: skip
    return f"{found.nats.value:.2f} nats{spread[0]}, {found.bits.value:.3f} bits/dim{spread[1]}: {kind}"


def _write(path: Path, source: ArraySource, found: Scored) -> None:
    """A row for each image: name, class where there are classes, nats, bits/dim."""
    import numpy as np

    from triptych.gallery import write_csv, write_npz

    columns = {"nats": found.nats.numpy(), "bits_per_dim": found.bits.numpy()}
    labels = source.labels
    if path.suffix.lower() == ".npz":
        told = {} if labels is None else {"labels": labels}
        write_npz(path, {"names": np.asarray(source.names, dtype=np.str_), **told, **columns})
        return
    classes = {} if labels is None else {"class": [source.class_names[label] for label in labels]}
    shown = {"name": source.names, **classes, **{name: values.tolist() for name, values in columns.items()}}
    write_csv(path, list(shown), zip(*shown.values(), strict=True))
