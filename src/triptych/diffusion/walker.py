"""What models of the family share: a network that tells the clean image from a noisy one, and walks down its levels.

What the network is (`nets/`), how images become noise (`paths.py`), what the network answers (`scaling.py`), which
levels are walked (`schedules.py`) and how (`samplers.py`) are five values that do not know each other.

Notation: B batch, C channels, H W sides; x clean image in [-1, 1]; n standard normal noise; y = x + s n the noisy
image at level s, D the estimate of x; z = y / sqrt(1 + s^2) at the highest level, N(0, I) for images.
"""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor, nn

from triptych.chance import Draw
from triptych.core import NOTHING, Degradation, Given, Model, Shape
from triptych.diffusion import editing, paths, samplers, schedules
from triptych.diffusion.guidance import guided, within
from triptych.diffusion.paths import Path
from triptych.diffusion.samplers import Denoiser, Sampler
from triptych.diffusion.scaling import Scaling
from triptych.diffusion.walks import FITTED, SAMPLERS, SCHEDULES, Watch, checked, enough, known, watched
from triptych.errors import UsageError
from triptych.labels import classes_of
from triptych.nets.reading import ByteReader

Reader = Annotated[ByteReader, "reader"]
Net = Annotated[Callable[..., nn.Module], "net", "later"]  # built when it is known what it is told of images
TEACHER = 64  # steps of the walk that a schedule is fitted to
NO_CHANCE = Draw(())  # where nothing is drawn


class Walker(Model, ABC):
    """A denoiser D(y, s) = skip * y + out * net(inp * y, place of s in the path's table).

    `conditional` models are told the class of an image, given["labels"] (B,), or that it may be of any; those with a
    `reader` a text about it, given["text"] (B, L), or none; those with a `degradation` are shown what is left of it,
    given["image"] (B, C, H, W), or zeros, a grey that no uint8 has: it may be any. `sampler`, `schedule` and `steps`
    are how images are made unless asked otherwise; meanwhile estimates of the clean image are kept in [-bound,
    bound], as Ho et al. do, with null as they are (latents know no bounds). What latents are, each kind says.
    """

    def __init__(
        self,
        net: Net,
        path: Annotated[Path, "path"],
        scaling: Annotated[Scaling, "scaling"],
        image_shape: Shape,
        classes: int = 0,
        conditional: bool = False,
        sampler: str = "ddim",
        schedule: str = "uniform",
        steps: int = 50,
        bound: float | None = None,
        reader: Reader | None = None,
        degradation: Annotated[Degradation, "degradation"] | None = None,
    ) -> None:
        super().__init__()
        self.image_shape = self.latent_shape = image_shape
        self.classes = classes_of(conditional, classes)
        words, shown = reader.features if reader else 0, image_shape[0] if degradation else 0
        self.net = net(image_shape=image_shape, classes=self.classes, words=words, shown=shown)
        self.reader, self.degradation = reader, degradation
        self.alpha, self.scaling = path.alpha, scaling
        self.sampler, self.schedule, self.steps = known(sampler, SAMPLERS), known(schedule, SCHEDULES), steps
        self.bound = math.inf if bound is None else bound
        self.table: Tensor  # (T,) the levels that it is taught, rising
        self.register_buffer("table", path.table.float(), persistent=False)

    @property
    def reads(self) -> frozenset[str]:
        told = {"text": self.reader, "image": self.degradation}
        return super().reads | {name for name, part in told.items() if part}

    def read(self, given: Given) -> Given:
        """What is given, with words in the place of a text; where nothing is to be read, as it is."""
        if self.reader is None or "text" not in given:
            return given
        words, heard = self.reader(given["text"])
        return {**{name: value for name, value in given.items() if name != "text"}, "words": words, "heard": heard}

    def denoise(self, y: Tensor, s: Tensor, given: Given = NOTHING, until: Tensor | None = None) -> Tensor:
        """D (B, C, H, W), without bounds, at levels s (B,); the network may be told `until` which (B,) it leads."""
        s = s.clamp(min=self.table[0]).where(s > 0, s)  # at less noise than it was taught, as at the least
        if until is not None:
            given = {**given, "until": paths.place(self.table, until)}
        skip, out, inp = (factor.view(-1, 1, 1, 1) for factor in self.scaling(s))
        answer: Tensor = self.net(inp * y, paths.place(self.table, s), self.read(given))  # (B, C, H, W)
        return skip * y + out * answer

    @torch.no_grad()
    def sample(
        self,
        draw: Draw,
        given: Given = NOTHING,
        sampler: str | None = None,
        steps: int | None = None,
        schedule: str | Tensor | None = None,
        guidance: float | None = None,
        interval: tuple[float, float] | None = None,
        weaker: Model | None = None,
        autoguidance: float | None = None,
        watch: Watch | None = None,
    ) -> Tensor:
        """New images (B, C, H, W), one for each generator of `draw`.

        `sampler` is one of `SAMPLERS`, `schedule` one of `SCHEDULES` or the levels themselves (K + 1,), falling;
        `steps` is how many levels are walked. `guidance` is the scale of guidance away from images of any class, at
        levels in `interval`; `autoguidance` that away from the estimates of a `weaker` model of the family. `watch`
        is shown each level and the estimates there. Raises a `UsageError` for what there is not.
        """
        walk, down = self._way(sampler, schedule, steps)
        denoise = self._steered(len(draw), given, guidance, interval, weaker, autoguidance)
        denoise = watched(denoise, watch) if watch else denoise
        z = draw.normal(*self.latent_shape).to(self.table.dtype)
        return walk(denoise, z * self.spread(), down, draw)

    @torch.no_grad()
    def vary(
        self,
        x: Tensor,
        strength: float,
        draw: Draw,
        given: Given = NOTHING,
        sampler: str | None = None,
        steps: int | None = None,
        schedule: str | Tensor | None = None,
        guidance: float | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) noised to a share `strength` of the walk and walked down; 1 is `sample`, 0 are they."""
        if strength == 1:
            return self.sample(draw, given, sampler, steps, schedule, guidance)
        walk, down = self._way(sampler, schedule, steps)
        denoise = self._steered(len(x), given, guidance)
        return editing.varied(walk, denoise, x, down, strength, draw)

    @torch.no_grad()
    def inpaint(
        self,
        x: Tensor,
        new: Tensor,
        draw: Draw,
        given: Given = NOTHING,
        steps: int | None = None,
        schedule: str | Tensor | None = None,
        jumps: int = editing.JUMPS,
        guidance: float | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) whose pixels `new` (B, 1, H, W) are made to fit the rest, each step `jumps` times."""
        denoise = self._steered(len(x), given, guidance)
        return editing.inpainted(denoise, x, new, self.levels(schedule, steps), draw, jumps)

    @torch.no_grad()
    def fitted(
        self, draw: Draw, given: Given = NOTHING, sampler: str | None = None, steps: int = 8
    ) -> tuple[Tensor, float, float]:
        """Levels (steps + 1,) fitted to this model and a sampler that draws nothing, by images at these seeds.

        The goal is where `TEACHER` steps of Heun's method lead the same noise. Also how far images end from there,
        root mean square over their values: with the fitted levels, and with the best plain schedule. Raises a
        `UsageError` for a sampler whose levels are not all there is to it.
        """
        name = known(sampler or self.sampler, SAMPLERS)
        if name not in FITTED:
            raise UsageError(f"The levels of {name} cannot be fitted; give one of {', '.join(FITTED)}.")
        walk = SAMPLERS[name]
        denoise = self.denoiser(len(draw), given)
        y = draw.normal(*self.latent_shape).to(self.table.dtype) * self.spread()

        def end(levels: Tensor) -> Tensor:
            return walk(denoise, y, levels, NO_CHANCE)

        goal = samplers.heun(denoise, y, self.levels("karras", TEACHER), NO_CHANCE)
        plain = [self.levels(name, steps) for name in SCHEDULES]
        best = min(plain, key=lambda levels: float((end(levels) - goal).square().mean()))
        levels, error = schedules.fitted(end, best, goal, self.table[0].item())
        return levels, error, float((end(best) - goal).square().mean().sqrt())

    def levels(self, schedule: str | Tensor | None = None, steps: int | None = None) -> Tensor:
        """The falling levels (steps + 1,) of a schedule, float64, from the top of the table to 0."""
        if isinstance(schedule, Tensor):
            return checked(schedule, self.table)
        return SCHEDULES[known(schedule or self.schedule, SCHEDULES)](
            self.table, self.steps if steps is None else steps
        )

    def _way(self, sampler: str | None, schedule: str | Tensor | None, steps: int | None) -> tuple[Sampler, Tensor]:
        """What walks, and down which levels; a `UsageError` where these are too few for it."""
        name = known(sampler or self.sampler, SAMPLERS)
        return SAMPLERS[name], enough(name, self.levels(schedule, steps))

    def spread(self) -> float:
        """What the highest level multiplies N(0, I) by to give y."""
        return math.hypot(1.0, self.table[-1].item())

    def denoiser(self, images: int, given: Given = NOTHING, bounded: bool = True) -> Denoiser:
        """`denoise` with what is given of so many images, its answers within bounds."""
        if self.classes and "labels" in given:
            labels = given["labels"]
            if labels.shape != (images,) or labels.min() < 0 or labels.max() >= self.classes:
                raise UsageError(f"This model takes labels: give one from 0 to {self.classes - 1} for each image.")
        if self.degradation and images and "image" in given and given["image"].shape != (images, *self.image_shape):
            raise UsageError(f"This model is shown images: give one of {self.image_shape} for each that it makes.")
        bound, read = self.bound if bounded else math.inf, self.read(given)
        return lambda y, s, until=None: self.denoise(y, s, read, until).clamp(-bound, bound)

    def _steered(
        self,
        images: int,
        given: Given,
        guidance: float | None = None,
        interval: tuple[float, float] | None = None,
        weaker: Model | None = None,
        autoguidance: float | None = None,
    ) -> Denoiser:
        """The denoiser away from what says less of the image, where that is asked for."""
        denoise, away = self.denoiser(images, given), []
        if guidance is not None:
            if not self.reads:
                raise UsageError("guidance: this model knows neither classes nor texts to be guided to; leave it out.")
            away.append((self.denoiser(images, _unknown(given)), guidance))
        if autoguidance is not None:
            if not isinstance(weaker, Walker) or weaker.image_shape != self.image_shape:
                raise UsageError("autoguidance: give a weaker model of the same family and size, such as an early at/.")
            heard = {name: value for name, value in given.items() if name in weaker.reads}
            away.append((weaker.denoiser(images, heard), autoguidance))
        if interval and not away:
            raise UsageError("interval: nothing is guided; give guidance, or a weaker model, too.")
        steered = guided(denoise, *away)
        return within(steered, denoise, *interval) if interval else steered


def _unknown(given: Given) -> Given:
    """What is given, without what an image is to show."""
    return {name: value for name, value in given.items() if name not in ("labels", "text")}
