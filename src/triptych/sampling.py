"""Images from a model, whatever its family: seed i makes image i, in any batch."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from triptych.chance import Draw, generator
from triptych.core import LONGEST, NOTHING, Batch, Given, HasPrior, Model
from triptych.devices import autocast, threads_for
from triptych.errors import UsageError, nearest
from triptych.intake import text_of
from triptych.labels import plain, written
from triptych.pixels import grid, to_uint8
from triptych.quantities import count, decimal
from triptych.words import quoted

PIXELS = ("mean", "draw")
MOST_LEVELS = 10_000  # of a schedule in a file


def generate(
    model: Model,
    seeds: Iterable[int],
    given: Given = NOTHING,
    batch: int = 64,
    filled: bool = False,
    precision: str = "float32",
    **how: Any,
) -> Iterator[Batch]:
    """Batches of uint8 images (B, C, H, W), one image for each seed, in the order of the seeds.

    `given` may hold "labels" (N,) and "text" (N, L), both int64. A model that takes labels and is given nothing is
    asked for classes drawn by the seeds; one that takes texts then makes images of any text. `how` goes to the
    model's `sample` (steps, sampler, ...); a word that it does not know raises a `UsageError` before any work is done.

    Products of other shapes are rounded otherwise, so a last batch that is smaller may differ in the last bit of a
    pixel. A `filled` one is made up to `batch` images, of which the rest is dropped: the bytes of an image then follow
    from its seed, `batch` and the machine. `precision` is that of products.
    """
    accepts(model, how)
    seeds = list(seeds)
    given = dict(given) if given else labels_for(seeds, model.classes)
    check_labels(given, len(seeds), model.classes)
    check_text(given, len(seeds), model.reads)
    return _batches(model, seeds, given, Making(batch, filled, precision), how)


@contextmanager
def at_rest(model: Model) -> Iterator[torch.device]:
    """Gives the model's device; inside, the model is in eval mode, on the threads that suit its images."""
    with still(model, model.image_shape[1:]) as device:
        yield device


def latents(model: Model, draw: Draw, given: Given = NOTHING) -> Tensor:
    """The latents (B, *latent_shape) of which the model makes the images of these seeds."""
    return model.drawn(draw, given) if isinstance(model, HasPrior) else draw.normal(*model.latent_shape)


@contextmanager
def still(net: nn.Module, sides: Sequence[int]) -> Iterator[torch.device]:
    """The same for any network that is to see images with these sides (H, W)."""
    parameter = next(net.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    was_training = net.training
    net.eval()
    try:
        with threads_for(sides, device):
            yield device
    finally:
        net.train(was_training)


class Making(NamedTuple):
    """How batches of images are made, whatever the model."""

    size: int  # images at once
    filled: bool  # the last batch too
    precision: str

    def places(self, start: int, count: int) -> list[int]:
        """Which of `count` images are made in the batch that begins with one of them; the last again to fill it."""
        places = list(range(start, min(start + self.size, count)))
        return places + places[-1:] * (self.size - len(places)) if self.filled else places


def _batches(model: Model, seeds: list[int], given: Given, making: Making, how: dict[str, Any]) -> Iterator[Batch]:
    for start in range(0, len(seeds), making.size):
        places = making.places(start, len(seeds))
        part = {name: value[places] for name, value in given.items()}
        with at_rest(model) as device, torch.no_grad(), autocast(device, making.precision):
            draw = Draw([seeds[place] for place in places], device)
            x = model.sample(draw, {name: value.to(device) for name, value in part.items()}, **how)
        yield Batch(to_uint8(x).cpu(), part).rows(slice(len(seeds) - start))


def previews(model: Model, seeds: Sequence[int], given: Given = NOTHING, columns: int = 10, **how: Any) -> Tensor:
    """A picture (C, H', W') with a row for each seed: what the model took for its image, on the way, and made of it.

    `given` is that of more images, of which these are the first. Raises a `UsageError` for a model without steps.
    """
    seen: list[Tensor] = []
    given = {name: value[: len(seeds)] for name, value in given.items()}
    how |= {"watch": lambda level, estimate: seen.append(to_uint8(estimate).cpu())}
    (made,) = generate(model, seeds, given, len(seeds), **how)
    chosen = [round(at * (len(seen) - 1) / max(columns - 2, 1)) for at in range(columns - 1)]
    shown = [seen[at] for at in sorted(set(chosen))] + [made.images]
    return grid(torch.stack(shown, 1).flatten(0, 1), len(shown))


def accepts(model: Model, how: dict[str, Any]) -> None:
    """Raise a `UsageError` where the model's `sample` does not know a word of `how`."""
    known = list(choices(model))
    for name in how:
        if name not in known:
            others = nearest(name, known) if known else "it has no choices."
            raise UsageError(f"This model's sampling has no {name!r}; {others}")


def chooser(model: Model) -> Model:
    """Whose choices a model's sampling has: its own or, where it hands them on as `**how`, those of its `prior`."""
    handed = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(model.sample).parameters.values())
    return chooser(model.prior) if handed else model  # type: ignore[arg-type]


def choices(model: Model) -> dict[str, Any]:
    """The words that sampling takes, each with what it is where nobody says: {"steps": 50}."""
    one = chooser(model)
    offered = inspect.signature(one.sample).parameters.values()
    return {p.name: getattr(one, p.name, p.default) for p in offered if p.name not in ("draw", "given")}


def chosen(**words: Any) -> dict[str, Any]:
    """The words of sampling that somebody said (those that are not None), read and checked.

    `steps`, `guidance`, `autoguidance`, `truncation` and `temperature` are numbers, `interval` two of them,
    `schedule` a name or a file of levels, `pixels` a way; of the others the model knows what there is. Raises a
    `UsageError` that names the flag.
    """
    return {name: _READ.get(name, _as_it_is)(value, f"--{name}") for name, value in words.items() if value is not None}


def _as_it_is(value: Any, name: str) -> Any:
    return value


def _within(low: float, high: float) -> Callable[[Any, str], float]:
    return lambda value, name: decimal(value, name, low, high)


def _pair(value: Any, name: str) -> tuple[float, float]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or len(parts) != 2:
        raise UsageError(f"{name} is {value!r}: give two numbers, the lower first, such as 0.2,5.")
    try:
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        low = high = math.nan
    if not 0 <= low <= high:
        raise UsageError(f"{name} is {value!r}: give two numbers of at least 0, the lower first, such as 0.2,5.")
    return low, high


def _levels(value: Any, name: str) -> Any:
    """The name of a schedule, or the levels in a .txt file, one a line."""
    if not str(value).endswith(".txt"):
        return value
    try:
        words = text_of(Path(value)).split()
        levels = [decimal(word, "a level", 0, math.inf) for word in words[: MOST_LEVELS + 1]]
        if not 1 <= len(levels) <= MOST_LEVELS:
            raise ValueError(f"it holds {len(words):,} words")
    except (OSError, ValueError, UsageError) as error:
        raise UsageError(
            f"{name} {value}: give a file of numbers, one a line, as 'schedule' writes it ({error})."
        ) from error
    return torch.tensor(levels, dtype=torch.float64)


def _way(value: Any, name: str) -> str:
    if value not in PIXELS:
        raise UsageError(f"{name} is {value!r}: {nearest(str(value), PIXELS)}")
    return str(value)


_READ: dict[str, Callable[[Any, str], Any]] = {
    "steps": lambda value, name: count(value, name, 1, 1_000_000),
    "guidance": _within(0, 100),
    "autoguidance": _within(0, 100),
    "interval": _pair,
    "schedule": _levels,
    "truncation": _within(0, 1),
    "temperature": _within(0.001, 2),
    "pixels": _way,
}


def labels_for(seeds: list[int], classes: int) -> Given:
    """A class for each image, drawn evenly by its seed; nothing where the model takes no labels."""
    if not classes:
        return NOTHING
    drawn = [int(torch.randint(classes, (), generator=generator("label", seed))) for seed in seeds]
    return {"labels": torch.tensor(drawn)}


def named(labels: str | None, names: Sequence[str], images: int) -> Given:
    """Classes by name or number, "cat,dog" or "0,1", repeated in turn to so many images; nothing for None."""
    if labels is None:
        return NOTHING
    chosen = []
    for word in str(labels).split(","):
        word = word.strip()
        if word in names:
            chosen.append(names.index(word))
        elif re.fullmatch("[0-9]{1,15}", word):
            chosen.append(int(word))
        else:
            raise UsageError(f"--labels: there is no class {quoted(word)}; {nearest(word, names)}")
    return {"labels": torch.tensor([chosen[i % len(chosen)] for i in range(images)])}


def check_labels(given: Given, images: int, classes: int) -> None:
    """Raise a `UsageError` where labels do not fit the model or the number of images."""
    if "labels" not in given:
        return
    labels = given["labels"]
    if not classes:
        raise UsageError("This model takes no labels; sample it without.")
    if labels.shape != (images,) or labels.is_floating_point():
        raise UsageError(f"labels have shape {tuple(labels.shape)}: give one whole number for each of {images} images.")
    if images and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UsageError(f"labels run from {int(labels.min())} to {int(labels.max())}: give 0 to {classes - 1}.")


def prompted(texts: str | Sequence[str] | None, images: int) -> Given:
    """Texts, repeated in turn to so many images; nothing for None or none. "@FILE" stands for the lines of a file."""
    words = [texts] if isinstance(texts, str) else list(texts or ())
    prompts = [plain(prompt) for word in words for prompt in (_prompts(word[1:]) if word[:1] == "@" else [word])]
    for prompt in prompts:
        if not prompt or len(prompt.encode(errors="replace")) > LONGEST:
            raise UsageError(f"--text is {prompt[:40]!r}: give 1 to {LONGEST} bytes of text.")
    if not prompts:
        return NOTHING
    try:
        text = written(prompts)
    except UnicodeEncodeError as error:
        raise UsageError(f"--text is not UTF-8 ({error.reason}): write it anew.") from error
    return {"text": text[torch.arange(images) % len(prompts)]}


def _prompts(path: str) -> list[str]:
    """The lines of a file that are not empty."""
    try:
        lines = text_of(Path(path)).splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"--text @{path}: give a UTF-8 file with a text on each line ({error}).") from error
    if not any(map(str.strip, lines)):
        raise UsageError(f"--text @{path}: the file is empty; write a text on each line.")
    return [line for line in lines if line.strip()]


def check_text(given: Given, images: int, reads: frozenset[str]) -> None:
    """Raise a `UsageError` where texts do not fit the model or the number of images."""
    if "text" not in given:
        return
    text = given["text"]
    if "text" not in reads:
        raise UsageError("This model takes no text; sample it without.")
    if text.ndim != 2 or len(text) != images or text.is_floating_point() or text.shape[1] > LONGEST:
        shape = tuple(text.shape)
        raise UsageError(
            f"text has shape {shape}: give whole numbers, ({images}, bytes), with at most {LONGEST} bytes."
        )
    if text.numel() and not -1 <= int(text.min()) <= int(text.max()) < 256:
        raise UsageError(f"text runs from {int(text.min())} to {int(text.max())}: give bytes, and -1 behind their end.")
