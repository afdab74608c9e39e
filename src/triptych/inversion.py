"""Real images as styles: the style whose painting comes nearest to each of them, found by descent.

Abdal et al. 2019 (arXiv:1904.03189, equation 1) with the features of an extractor of ours: what is
made small is the mean square error of the pixels and of the features, the latter relative to the image's own.

Notation: B batch, C channels, H W image sides, D values of a style; x image in [-1, 1], w style.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.core import NOTHING, Encodes, Model, Styles
from triptych.errors import UsageError, nearest
from triptych.extractors import bundled
from triptych.metrics.images import psnr
from triptych.pixels import to_float, to_uint8
from triptych.sampling import at_rest

Watch = Callable[[Tensor], Tensor]  # float images (B, C, H, W) -> features (B, F), differentiable
SIGHTS = ("bundled", "pixels")
RATE = 0.1  # of Adam at the start, in units of a style; it falls to zero on a half cosine


class Inverted(NamedTuple):
    """Images found again."""

    styles: Tensor  # (B, ..., D) float32
    images: Tensor  # (B, C, H, W) uint8: what the styles paint
    psnr: Tensor  # (B,) float64, dB
    steps: int  # that were made


def sight(name: str, device: torch.device) -> Watch | None:
    """What compares features beside the pixels: "bundled", or "pixels" for nothing; raises a `UsageError` else."""
    if name not in SIGHTS:
        raise UsageError(f"--extractor {name}: {nearest(name, SIGHTS)}")
    return bundled.watching(device) if name == "bundled" else None


def styled(model: Model) -> Styles:
    """The model itself, or a `UsageError` that says what to do where it has no styles."""
    if isinstance(model, Styles):
        return model
    way = "it encodes images by itself: use 'triptych encode'" if isinstance(model, Encodes) else "train one that has"
    raise UsageError(f"This model has no styles; {way}.")


def invert(
    model: Model,
    images: Tensor,
    watch: Watch | None = None,
    steps: int = 300,
    seconds: float = math.inf,
    note: Callable[[float], None] = lambda share: None,
) -> Inverted:
    """The styles whose paintings come nearest to uint8 images (B, C, H, W), each image for itself.

    Starts at the mean style of all classes and makes `steps` of Adam, or as many as fit into `seconds`;
    `note` is told the share that is done. Each image keeps its best style. Raises a `UsageError` for a model
    without styles and for images of another shape.
    """
    generator = styled(model)
    if tuple(images.shape[1:]) != model.image_shape:
        raise UsageError(f"Images have shape {tuple(images.shape[1:])}; this model makes {model.image_shape}.")
    with at_rest(model) as device:
        x = to_float(images.to(device))
        loss = _nearness(x, watch)
        w = start(model, len(images), device).requires_grad_()
        best, found, done = torch.full((len(x),), math.inf, device=device), w.detach().clone(), 0
        adam, began = torch.optim.Adam([w], lr=RATE), time.perf_counter()
        while (share := max(done / steps, (time.perf_counter() - began) / seconds)) < 1:
            adam.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * share)) / 2
            losses = loss(generator.paint(w))  # (B,)
            better = losses.detach() < best
            best = torch.where(better, losses.detach(), best)
            found[better] = w.detach()[better]
            (w.grad,) = torch.autograd.grad(losses.sum(), w)
            adam.step()
            done += 1
            note(share)
        with torch.no_grad():
            painted = to_uint8(generator.paint(found)).cpu()
    note(1.0)
    return Inverted(found.float().cpu(), painted, psnr(images.cpu(), painted), done)


def start(model: Model, images: int, device: torch.device) -> Tensor:
    """The mean style of all classes, once for each image, (B, ..., D)."""
    given = {"labels": torch.arange(model.classes, device=device)} if model.classes else NOTHING
    centre = styled(model).centre(given).mean(0, keepdim=True)
    return centre.expand(images, *centre.shape[1:]).clone()


def _nearness(x: Tensor, watch: Watch | None) -> Callable[[Tensor], Tensor]:
    """How far images (B, C, H, W) in [-1, 1] are from x, (B,)."""
    if watch is None:
        return lambda y: (y - x).square().flatten(1).mean(1)
    with torch.no_grad():
        wanted = watch(x)
    size = wanted.square().mean(1).clamp(min=1e-12)
    return lambda y: (y - x).square().flatten(1).mean(1) + (watch(y) - wanted).square().mean(1) / size
