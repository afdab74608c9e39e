"""What a model can do besides making images: features for a classifier, reconstructions, likelihoods.

All is measured on real images that it was not trained on. A model is not told their labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from triptych.chance import Draw
from triptych.core import Batch, Encodes, Likelihood, Model, Scores, Source
from triptych.devices import threads_for
from triptych.evaluation.reading import even
from triptych.metrics.bootstrap import interval_of_mean
from triptych.metrics.estimate import Estimate
from triptych.metrics.images import psnr, ssim
from triptych.metrics.probe import linear_probe
from triptych.pixels import to_float, to_uint8
from triptych.screen import Line, Screen

TAUGHT = 1_000  # training images that the linear probe learns from, at most
HELD_OUT = 500  # images that everything is measured on, at most
TOGETHER = 50


class Skills(NamedTuple):
    """What could be measured; the rest is None."""

    taught: int  # training images that the probe learnt from
    held_out: int  # images measured
    probe: Estimate | None = None  # accuracy of a linear probe on the features, in [0, 1]
    probe_of_pixels: Estimate | None = None  # the same on bare pixels
    psnr: Estimate | None = None  # decibels, of reconstructions
    ssim: Estimate | None = None
    bits: Estimate | None = None  # bits/dim
    bits_are: str = ""  # "bound" (the true number is at most this) or "exact"


def skills(model: Model, train: Source, held_out: Source, screen: Screen) -> Skills | None:
    """The skills of a model that encodes or scores, measured with images of its data; None for others.

    The images are an even sample of each side.
    """
    if not isinstance(model, (Encodes, Scores)):
        return None
    taught, tested = train.read(even(train, TAUGHT)), held_out.read(even(held_out, HELD_OUT))
    found = Skills(len(taught.images), len(tested.images))
    device = next(model.parameters()).device
    with torch.no_grad(), threads_for(model.image_shape[1:], device):
        if isinstance(model, Encodes):
            with screen.progress("encoding", found.taught + found.held_out, keep=False) as line:
                found = _encoding(model, taught, tested, found, line)
        if isinstance(model, Scores):
            with screen.progress("scoring", found.held_out, keep=False) as line:
                found = _scoring(model, tested, found, line)
    return found


def probe_of_pixels(train: Source, held_out: Source) -> Estimate | None:
    """The accuracy of a linear probe on bare pixels, which features are to beat; None without labels."""
    taught, tested = train.read(even(train, TAUGHT)), held_out.read(even(held_out, HELD_OUT))
    if "labels" not in tested.given or len(set(taught.given["labels"].tolist())) < 2:
        return None
    x, y = (to_float(side.images).flatten(1) for side in (taught, tested))
    return linear_probe(x, taught.given["labels"], y, tested.given["labels"])


def _encoding(model: Any, taught: Batch, tested: Batch, found: Skills, progress: Line) -> Skills:
    """Reconstructions of the held-out images, and the probe where both sides have labels."""
    latents = _latents(model, tested.images, progress)
    starts = range(0, len(latents), TOGETHER)
    again = torch.cat([to_uint8(model.decode(latents[start : start + TOGETHER])).cpu() for start in starts])
    found = found._replace(
        psnr=interval_of_mean(psnr(tested.images, again)), ssim=interval_of_mean(ssim(tested.images, again))
    )
    if "labels" not in tested.given or len(set(taught.given["labels"].tolist())) < 2:
        return found
    known = _latents(model, taught.images, lambda done: progress(len(tested.images) + done))

    def probed(learn: Tensor, test: Tensor) -> Estimate:
        labels = taught.given["labels"], tested.given["labels"]
        return linear_probe(learn.flatten(1).cpu(), labels[0], test.flatten(1).cpu(), labels[1])

    on_pixels = probed(to_float(taught.images), to_float(tested.images))
    return found._replace(probe=probed(known, latents), probe_of_pixels=on_pixels)


def _latents(model: Any, images: Tensor, progress: Callable[[int], None]) -> Tensor:
    """What the model encodes uint8 images to, (N, *latent_shape), on its device."""
    device, parts = next(model.parameters()).device, []
    for start in range(0, len(images), TOGETHER):
        part = images[start : start + TOGETHER]
        parts.append(model.encode(to_float(part.to(device))))
        progress(start + len(part))
    return torch.cat(parts)


def _scoring(model: Any, tested: Batch, found: Skills, progress: Line) -> Skills:
    """Bits/dim of the held-out images; image i is scored with the noise of seed i."""
    device, parts = next(model.parameters()).device, list[Likelihood]()
    for start in range(0, len(tested.images), TOGETHER):
        x = to_float(tested.images[start : start + TOGETHER].to(device))
        parts.append(model.log_likelihood(x, Draw(range(start, start + len(x)), device)))
        progress(start + len(x))
    bits = torch.cat([part.bits_per_dim(model.image_shape) for part in parts])
    return found._replace(bits=interval_of_mean(bits), bits_are="bound" if any(p.bound for p in parts) else "exact")
