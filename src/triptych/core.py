"""The words that every other file uses. Read this one first.

A **model** outlives training: it turns noise into images, and may encode or score them.
An **objective** dies with training: critics, loss weights, augmentation of the losses.
An objective hands the loop a list of **turns**: who may move, and down what.
The loop plays turns and knows nothing else, so every family is trained by the same hundred lines.

Notation of the whole tree: B batch, C channels, H height, W width, D features; x image in [-1, 1],
z latent. With 2 or 4 channels the last one is alpha, and x is premultiplied by it (`pixels.py`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from triptych.chance import Draw

Shape = tuple[int, int, int]  # channels, height, width
Given = Mapping[str, Tensor]  # what is known of each image: "labels" (B,), "text" (B, L), "image", or nothing
Stats = Mapping[str, Tensor]  # numbers to log: detached scalars
NOTHING: Given = MappingProxyType({})
LONGEST = 256  # bytes of a text that is given
ACTIVE = 0.01  # variance of a latent's mean over images from which it is in use (Burda et al. 2015, section 5.2)


class Batch(NamedTuple):
    """Images with what is known of them."""

    images: Tensor  # (B, C, H, W): uint8 at rest, float in [-1, 1] once on the device
    given: Given = NOTHING

    def rows(self, some: slice) -> Batch:
        """These images of the batch, with what is known of them."""
        return Batch(self.images[some], {name: value[some] for name, value in self.given.items()})


class Turn(NamedTuple):
    """One player's move: which parameters may change, and the loss that they go down."""

    name: str  # names the optimiser and the log lines
    moves: Sequence[nn.Parameter]  # what may change; the other players stand still
    loss: Callable[[Batch, int], tuple[Tensor, Stats]]  # (batch, images seen) -> (B,) losses, stats
    every: int = 1  # played at each `every`-th step
    span: tuple[float, float] = (0, math.inf)  # played while span[0] <= images seen < span[1]

    def on(self, seen: int) -> bool:
        """Whether it is played at all after so many images."""
        return self.span[0] <= seen < self.span[1]


class Likelihood(NamedTuple):
    """How probable a model finds each image."""

    nats: Tensor  # (B,) log-probability of the uint8 image (a sum over its values), in nats
    bound: bool  # True where it is a lower bound
    by: str = ""  # what was computed, in words, where there is more than one way

    def bits_per_dim(self, shape: Shape) -> Tensor:
        """Minus the log-probability as bits for each value of an image of this shape, (B,)."""
        return -self.nats / (math.prod(shape) * math.log(2))


class Model(nn.Module, ABC):
    """All that a checkpoint needs in order to make images; each family has one final class of it."""

    image_shape: Shape
    latent_shape: tuple[int, ...]
    classes: int  # classes it can be asked for; 0: it takes no labels
    recipe: Mapping[str, Any]  # how it was trained; on loaded models

    @property
    def reads(self) -> frozenset[str]:
        """What it hears of all that may be given: "labels" where it has classes, and nothing else by default."""
        return frozenset({"labels"} if self.classes else ())

    @abstractmethod
    def decode(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Latents (B, *latent_shape) to images (B, C, H, W) in [-1, 1]; deterministic."""

    @abstractmethod
    def sample(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        """New images (B, C, H, W), one for each generator of `draw`."""


@runtime_checkable
class Encodes(Protocol):
    """A model that also turns images into features."""

    def encode(self, x: Tensor, given: Given = NOTHING, draw: Draw | None = None) -> Tensor:
        """Images to latents (B, *latent_shape): the mean, or a draw where `draw` is given."""
        ...


@runtime_checkable
class Scores(Protocol):
    """A model that also says how probable an image is."""

    def log_likelihood(self, x: Tensor, draw: Draw, given: Given = NOTHING) -> Likelihood:
        """Log-probability of uint8 images given as x in [-1, 1]."""
        ...


@runtime_checkable
class ScoresBy(Protocol):
    """A model that scores in several ways: its `log_likelihood` takes `by`, the name of one."""

    ways: Mapping[str, int]  # the draws of each, where no number is asked for; the first is taken unless one is named


@runtime_checkable
class Spends(Protocol):
    """A model that also says what each latent costs: the price of knowing the image, KL(q(z | x) || p(z))."""

    def spent(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        """Nats that each latent spends on each image, (B, *latent_shape)."""
        ...


@runtime_checkable
class HasPrior(Protocol):
    """A model that draws its latents from a prior of its own, and not from N(0, I)."""

    def drawn(self, draw: Draw, given: Given = NOTHING) -> Tensor:
        """Those of which `sample` makes its images, (B, *latent_shape), one for each generator of `draw`."""
        ...


@runtime_checkable
class Walks(Protocol):
    """A model that samples along noise levels, which can be fitted to it."""

    def fitted(self, draw: Draw, given: Given, sampler: str | None, steps: int) -> tuple[Tensor, float, float]:
        """Falling levels (steps + 1,) for few steps, and how far images end from those of many: with them, and before.

        Distances are root mean squares over the values of images.
        """
        ...


@runtime_checkable
class Edits(Protocol):
    """A model that changes images without being trained for it."""

    def vary(self, x: Tensor, strength: float, draw: Draw, given: Given = NOTHING, **how: Any) -> Tensor:
        """Images (B, C, H, W) made anew, from themselves (strength 0) to `sample` (1); `how` as for `sample`."""
        ...


@runtime_checkable
class Inpaints(Protocol):
    """A model that fills a part of an image so that it fits the rest."""

    def inpaint(self, x: Tensor, new: Tensor, draw: Draw, given: Given = NOTHING, **how: Any) -> Tensor:
        """Images (B, C, H, W) whose pixels `new` (B, 1, H, W) are made; all others stay as they are."""
        ...


class Degradation(NamedTuple):
    """What is left of an image, to make the rest of."""

    undone: str  # the ability of making the rest: "upscale", "colorize"
    of: Callable[[Tensor], Tensor]  # images (B, C, H, W) in [-1, 1] -> what is left of them, in the same shape
    factor: int = 1  # as coarse as that: pixels a side that are alike


@runtime_checkable
class Restores(Protocol):
    """A model that makes images of what is left of them, given["image"] (B, C, H, W) = degradation.of(x)."""

    degradation: Degradation | None  # None where it was not taught to


@runtime_checkable
class Styles(Protocol):
    """A model whose noise first becomes a style w, which it then paints: x = paint(style(z)).

    Styles are (B, D), or (B, L, D) where layers have styles of their own. A straight line between two
    styles is a path of images that the model can make.
    """

    def style(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """Latents (B, *latent_shape) to styles (B, ..., D)."""
        ...

    def paint(self, w: Tensor) -> Tensor:
        """Styles to images (B, C, H, W) in [-1, 1]."""
        ...

    def centre(self, given: Given = NOTHING) -> Tensor:
        """The mean style of each image's class, (B, ..., D); without classes (1, ..., D)."""
        ...

    def directions(self, count: int) -> tuple[Tensor, Tensor]:
        """The orthonormal directions (count, D) of a style that change most, and their strengths (count,), falling."""
        ...


class Objective(nn.Module, ABC):
    """What dies with training: it owns critics and teachers, and names the turns of one step."""

    recipe: Mapping[str, Any]  # on loaded ones

    @abstractmethod
    def turns(self, model: Model) -> Sequence[Turn]:
        """The turns, in the order in which they are played."""


class Source(Protocol):
    """Images at rest: an array in memory or on disk."""

    @property
    def image_shape(self) -> Shape: ...

    @property
    def class_names(self) -> Sequence[str]:
        """() where the images have no labels."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """One name for each image."""
        ...

    @property
    def texts(self) -> Sequence[str]:
        """One text for each image, "" where it has none; () where no image has one."""
        ...

    @property
    def fingerprint(self) -> str:
        """Text that changes when any pixel, label, text or name does."""
        ...

    def __len__(self) -> int: ...

    def read(self, indices: Sequence[int]) -> Batch:
        """uint8 images (B, C, H, W) and, where there are any, "labels" (B,) and "text" (B, L) of one L."""
        ...


Critic = Annotated[nn.Module, "critic"]  # images (B, C, H, W) -> logits (B,)


def abilities(model: object) -> tuple[str, ...]:
    """What a model can do, in the words of the catalogue."""
    can = ["sample"] if isinstance(model, Model) else []
    can += ["encode"] if isinstance(model, Encodes) else []
    can += ["score"] if isinstance(model, Scores) else []
    can += ["edit"] if isinstance(model, Edits) else []
    can += [model.degradation.undone] if isinstance(model, Restores) and model.degradation else []
    can += ["conditional"] if getattr(model, "classes", 0) else []
    can += ["text"] if "text" in getattr(model, "reads", ()) else []
    return tuple(can)
