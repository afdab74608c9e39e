"""Walks between images: along arcs of latents, along lines of styles, and along one direction of a style.

A walk goes through keys, the images of some seeds, in even steps from one to the next.

Notation: B batch, C channels, H W image sides, D values of a style, K keys; z latent, w style, t in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from triptych.chance import Draw, generator
from triptych.core import NOTHING, Given, Model, Styles
from triptych.errors import UsageError, nearest
from triptych.pixels import to_uint8
from triptych.sampling import at_rest, check_labels, labels_for, latents

SPACES = ("style", "latent")
PATHS = ("spherical", "linear")
PARALLEL = 1e-6  # the sine below which two latents lie on one line
DRAWN = 1024  # styles whose spread along a direction is its unit


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The points (B, ...) at t (B,) of the lines from a to b, each (B, ...)."""
    t = t.to(a).view(-1, *[1] * (a.ndim - 1))
    return (1 - t) * a + t * b


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The points (B, ...) at t (B,) of the great arcs from a to b, each (B, ...).

    sin((1 - t) v) / sin(v) a + sin(t v) / sin(v) b with v the angle between them (Shoemake 1985; White
    2016, arXiv:1609.04468, section 2.1): equal norms stay, so that the latents on the way are as long as
    normal latents are. Where a and b lie on one line there is no one arc, and the line itself is taken.
    """
    flat_a, flat_b, t = a.flatten(1).double(), b.flatten(1).double(), t.to(a.device).double()
    cosine = torch.cosine_similarity(flat_a, flat_b, 1).clamp(-1, 1)
    angle, sine = cosine.acos(), (1 - cosine.square()).sqrt()
    line = sine < PARALLEL
    sine = torch.where(line, 1.0, angle.sin())
    share_a = torch.where(line, 1 - t, ((1 - t) * angle).sin() / sine)
    share_b = torch.where(line, t, (t * angle).sin() / sine)
    return (share_a[:, None] * flat_a + share_b[:, None] * flat_b).view_as(a).to(a.dtype)


class Walk:
    """The way through K keys: the images of seeds, or of latents (K, *latent_shape).

    In style space, the default for a model with styles, lines of styles; in latent space arcs of latents or,
    on a `path` that is "linear", lines, where each image has the class of its nearer key. `given` may hold
    labels (K,); without them seeds draw the classes, as sampling does. `truncation` pulls styles towards the
    centre. Raises a `UsageError` for fewer than two keys, and for a space, a path, labels or a truncation that
    the model does not have.
    """

    def __init__(
        self,
        model: Model,
        keys: Sequence[int] | Tensor,
        given: Given = NOTHING,
        space: str | None = None,
        truncation: float = 1.0,
        path: str | None = None,
    ) -> None:
        self.model, self.truncation = model, truncation
        self.space = space or ("style" if isinstance(model, Styles) else "latent")
        self.path = path or ("linear" if self.space == "style" else "spherical")
        if len(keys) < 2:
            raise UsageError("A walk needs two images or more: give --seeds such as 0-7, or two files to --between.")
        if self.path not in PATHS:
            raise UsageError(f"There is no path {path!r}; {nearest(self.path, PATHS)}")
        if (self.space, self.path) == ("style", "spherical"):
            raise UsageError("Styles are walked along lines: leave --path out, or give --space latent.")
        if self.space not in SPACES:
            raise UsageError(f"There is no space {space!r} to walk in; {nearest(self.space, SPACES)}")
        if not isinstance(model, Styles) and (self.space == "style" or truncation != 1):
            raise UsageError("This model has no styles: walk with --space latent, and without --truncation.")
        if not 0 <= truncation <= 1:
            raise UsageError(f"The truncation is {truncation}: give a number from 0 (the average image) to 1 (none).")
        if not isinstance(keys, Tensor):
            given = given or labels_for(list(keys), model.classes)
        check_labels(given, len(keys), model.classes)
        with at_rest(model) as device, torch.no_grad():
            self._given = {name: value.to(device) for name, value in given.items()}
            z = keys.to(device) if isinstance(keys, Tensor) else latents(model, Draw(keys, device), self._given)
            self._keys = self._style(z, self._given) if self.space == "style" else z

    def frames(self, steps: int, loop: bool = False, batch: int = 64) -> Iterator[Tensor]:
        """uint8 images (B, C, H, W): `steps` from each key to the next, then the last key, or a way back to the first.

        In all (K - 1) steps + 1 images, with `loop` K steps.
        """
        ways = len(self._keys) - (not loop)
        places = [(way, step / steps) for way in range(ways) for step in range(steps)]
        return self._painted(places if loop else [*places, (ways - 1, 1.0)], batch)

    def rows(self, steps: int, batch: int = 64) -> Iterator[Tensor]:
        """uint8 images (B, C, H, W), `steps` + 1 for each pair of neighbouring keys, both of them among these."""
        ways = range(len(self._keys) - 1)
        return self._painted([(way, step / steps) for way in ways for step in range(steps + 1)], batch)

    def _painted(self, places: list[tuple[int, float]], batch: int) -> Iterator[Tensor]:
        for start in range(0, len(places), batch):
            with at_rest(self.model), torch.no_grad():
                images = to_uint8(self._at(places[start : start + batch])).cpu()
            yield images

    def _at(self, places: list[tuple[int, float]]) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] at these ways and shares of them."""
        t = torch.tensor([share for _, share in places], dtype=torch.float64)
        here = torch.tensor([way for way, _ in places], device=self._keys.device)
        there = (here + 1) % len(self._keys)
        if self.space == "style":
            return self._styled().paint(lerp(self._keys[here], self._keys[there], t))
        mixed = slerp if self.path == "spherical" else lerp
        z = mixed(self._keys[here], self._keys[there], t)
        nearer = torch.where(t.to(here.device) < 0.5, here, there)
        given = {name: value[nearer] for name, value in self._given.items()}
        return self._styled().paint(self._style(z, given)) if self.truncation != 1 else self.model.decode(z, given)

    def _style(self, z: Tensor, given: Given) -> Tensor:
        w = self._styled().style(z, given)
        if self.truncation == 1:
            return w
        centre = self._styled().centre(given)
        return centre + self.truncation * (w - centre)

    def _styled(self) -> Styles:
        assert isinstance(self.model, Styles)
        return self.model


def along(
    model: Styles, directions: Tensor, seeds: Sequence[int], given: Given = NOTHING, reach: float = 3.0, steps: int = 7
) -> Iterator[Tensor]:
    """uint8 images (steps, C, H, W): for each direction (D,) and then each seed, a row from -reach to +reach.

    The unit is the standard deviation of the model's own styles along the direction; the image in the
    middle of an odd number of steps is that of the seed.
    """
    assert isinstance(model, Model)
    given = given or labels_for(list(seeds), model.classes)
    check_labels(given, len(seeds), model.classes)
    with at_rest(model) as device, torch.no_grad():
        given = {name: value.to(device) for name, value in given.items()}
        styles = model.style(Draw(seeds, device).normal(*model.latent_shape), given)
    for direction, unit in zip(directions, spread(model, directions), strict=True):
        for w in styles:
            with at_rest(model), torch.no_grad():
                places = torch.linspace(-reach, reach, steps).to(w) * unit
                images = to_uint8(model.paint(w + places.view(-1, *[1] * w.ndim) * direction.to(w))).cpu()
            yield images


@torch.no_grad()
def spread(model: Styles, directions: Tensor) -> Tensor:
    """The standard deviation (N,) of the model's styles, about the centre of their class, along directions (N, D)."""
    assert isinstance(model, Model)
    with at_rest(model) as device:
        z = torch.randn(DRAWN, *model.latent_shape, generator=generator("spread")).to(device)
        given = {"labels": torch.arange(DRAWN, device=device) % model.classes} if model.classes else NOTHING
        about = model.style(z, given) - model.centre(given)
    return (about @ directions.to(about).mT).flatten(0, -2).square().mean(0).sqrt()
