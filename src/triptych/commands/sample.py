"""`triptych sample`: new images from a trained model, as a grid, a folder of PNGs, or an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from triptych.errors import UsageError, nearest
from triptych.flags import Flag
from triptych.screen import SCREEN, Screen

if TYPE_CHECKING:
    from triptych.core import Given

MOST = 10_000_000


class Sampled(NamedTuple):
    """What was written."""

    path: str
    images: int
    image_shape: tuple[int, int, int]
    first_seed: int
    seconds: float


def sample(
    run: Annotated[str, Flag("a run folder, or one checkpoint in its at/")],
    *,
    n: Annotated[int | str, Flag("how many images", ("-n", "--images"), "N")] = 64,
    seed: Annotated[int | str, Flag("the first image's seed; image i has seed + i", metavar="N")] = 0,
    out: Annotated[
        str, Flag("x.png: one grid; x.npz: uint8 NHWC under 'images'; else a folder", ("-o", "--out"), "PATH")
    ] = "grid.png",
    labels: Annotated[str | None, Flag("classes in turn, by name or number: cat,dog or 0,1", metavar="A,B")] = None,
    batch: Annotated[int | str, Flag("images made at once; changes speed and memory only", metavar="N")] = 64,
    sampler: Annotated[str | None, Flag("the way of sampling, for models with a choice", metavar="NAME")] = None,
    steps: Annotated[int | str | None, Flag("steps of the sampler, for models with steps", metavar="N")] = None,
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:1, mps", metavar="NAME")] = "auto",
    screen: Screen = SCREEN,
) -> Sampled:
    """Make new images with the model of RUN. The same seed makes the same image in any batch."""
    import time
    from pathlib import Path

    from triptych.devices import pick
    from triptych.gallery import sink
    from triptych.quantities import count
    from triptych.sampling import generate
    from triptych.store import load

    number, first = count(n, "-n", 1, MOST), count(seed, "--seed", 0)
    size = count(batch, "--batch", 1, 65536)
    how: dict[str, Any] = {} if sampler is None else {"sampler": sampler}
    how |= {} if steps is None else {"steps": count(steps, "--steps", 1, 1_000_000)}
    model = load(run, pick(device))
    given = _given(labels, model.recipe["data"]["class_names"], number)
    made = generate(model, range(first, first + number), given, size, **how)
    place = sink(Path(out), number, first)
    start, done = time.perf_counter(), 0
    with screen.progress("sampling", number) as line:
        for images in made:
            place.add(images)
            done += len(images.images)
            line(done)
        place.close()
    spent = time.perf_counter() - start
    screen.say(f"Wrote {out}: {number:,} images in {spent:.1f} s.")
    return Sampled(out, number, model.image_shape, first, round(spent, 3))


def _given(labels: str | None, names: Sequence[str], number: int) -> Given:
    """The labels that the user asked for, repeated to `number` images."""
    import torch

    if labels is None:
        return {}
    chosen = []
    for word in str(labels).split(","):
        word = word.strip()
        if word in names:
            chosen.append(names.index(word))
        elif word.isascii() and word.isdigit():
            chosen.append(int(word))
        else:
            raise UsageError(f"--labels: there is no class {word!r}; {nearest(word, names)}")
    return {"labels": torch.tensor([chosen[i % len(chosen)] for i in range(number)])}
