"""Networks that see images, so that metrics can compare what they see.

An `Extractor` takes uint8 images as they lie in files (straight alpha, 1 to 4 channels, any size)
and brings them to its own size and channels itself; `about` says how, and with which weights.
Every number that it leads to names it.

Notation: B batch, C channels, H height, W width, D features, L logits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from triptych.errors import UsageError, nearest

KNOWN = ("bundled", "pixels", "inception", "dinov2")
TOGETHER = 128  # images in a batch of every extractor, so that features do not depend on who asks


class Seen(NamedTuple):
    """What an extractor sees in a batch, in main memory."""

    features: Tensor  # (B, D) float32
    logits: Tensor | None = None  # (B, L) float32, where it classifies


class Extractor(NamedTuple):
    """A named way to see images."""

    name: str  # "bundled"; the suffix of the metrics' labels
    about: str  # name, first 8 digits of the weights' SHA-256, size and resize filter; equal text, equal features
    look: Callable[[Tensor], Seen]  # uint8 (B, C, H, W) -> what it sees
    symmetric: bool = False  # an image and its mirror image have the same features


def extractor(which: str | nn.Module, device: torch.device | str = "cpu") -> Extractor:
    """The extractor of this name: one of KNOWN, dinov2:FOLDER, clip:FOLDER, MODULE:NAME, a graph's file, or a module.

    A graph's file ends in .pt2 or .onnx. MODULE:NAME and .pt2 files are code: name only what you trust.
    Raises a `UsageError` for an unknown name, a `ResourceError` where weights or a package are missing.
    """
    from triptych.extractors import bundled, foreign, inception, pretrained, raw

    device = torch.device(device)
    if isinstance(which, nn.Module):
        return foreign.from_module(which, device)
    if Path(which).suffix in foreign.GRAPHS:
        return foreign.from_graph(Path(which), device)
    name, colon, place = which.partition(":")
    if name in pretrained.KINDS:
        return pretrained.build(pretrained.KINDS[name], place, device)
    if colon:
        return foreign.from_name(which, device)
    own = {"bundled": bundled.build, "pixels": raw.build, "inception": inception.build}
    if which not in own:
        raise UsageError(
            f"There is no extractor {which!r}: {nearest(which, KNOWN)} "
            "Your own is MODULE:NAME, or a graph's file that ends in .pt2 or .onnx."
        )
    return own[which](device)
