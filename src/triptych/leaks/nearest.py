"""The training images nearest to an image: in pixels, mirrored and moved, and in features.

Pixels are premultiplied by alpha and lie in 0 to 255. An image is compared as each of its windows,
R pixels smaller on every side and mirrored or not, with the middle of a training image: so a copy
that was moved by up to R pixels meets its source with no border made up. Brightness is fitted
within 10%, and what it makes whiter than white stays white. What counts is the worst patch of at most
4x4 px, not the mean over the image: noise and compression touch all patches a little, while another picture
is far off in one of them. Within a patch, differences are averaged over 2x2 px before they are squared:
what alternates from pixel to pixel is noise, or left by compression.

Notation: B images, N training images, K candidates, T windows, D features, R reach in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from triptych.core import Source
from triptych.data.arrays import digest
from triptych.evaluation import read
from triptych.extractors import TOGETHER, Extractor
from triptych.metrics.summary import Rows
from triptych.pixels import HALF, has_alpha, to_float

REACH = 2  # pixels of movement that are undone, at most an eighth of a side
BRIGHTER = 0.1  # the share of brightness that is undone
WHITE = 0.98  # of full brightness: from there on it may have been cut off
PATCH = 4  # the side of a patch, at most a quarter of the image's
SIDE = 128  # images with a longer side are averaged over blocks of pixels first
CANDIDATES = 16  # training images that are compared in full
COARSE = 8  # they are found on averages over 8x8 blocks of an image
CELLS = 2**23  # distances held at once
ROUNDING = 1e-3  # distances between vectors of length one that float32 cannot tell from none


class Near(NamedTuple):
    """The K nearest training images of each image, nearest first."""

    rows: Tensor  # (B, K) int64: which training images
    distance: Tensor  # (B, K) float32, in levels


class Alike(NamedTuple):
    """The training image that looks most alike, and how much more so than the second."""

    row: Tensor  # (B,) int64: which training image
    ratio: Tensor  # (B,) distance over that of the second, 0 to 1


class PixelSearch:
    """All images of a source by their pixels; what is kept of each is 64 averages a channel.

    `digests` are the SHA-256 of each image, (N, 32) uint8.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        parts, digests = [], []
        for images, _ in read(source):
            parts.append(_coarse(_middle(levels(images))))
            digests.append(torch.from_numpy(digest(images.numpy()).copy()))
        self.digests = torch.cat(digests)
        self._means = torch.cat(parts)  # (N, D)
        self._squares = self._means.square().sum(1)

    def nearest(self, images: Tensor, without: Tensor | None = None) -> Near:
        """The nearest of uint8 images (B, C, H, W); image i is not compared with training image `without[i]`."""
        found = []
        for part in torch.split(torch.arange(len(images)), max(1, min(TOGETHER, CELLS // len(self._means)))):
            x = levels(images[part])
            rows = self._candidates(x, None if without is None else without[part])
            found += [self._compare(image, row) for image, row in zip(x, rows, strict=True)]
        return Near(torch.stack([near.rows for near in found]), torch.stack([near.distance for near in found]))

    def _candidates(self, x: Tensor, without: Tensor | None) -> Tensor:
        """(B, K) training images whose averages are nearest to those of any window."""
        best = torch.full((len(x), len(self._means)), math.inf)
        for window in _windows(x, step=2 if _reach(x) == REACH else 1):
            means = _coarse(window)
            squared = torch.addmm(self._squares[None], means, self._means.T, alpha=-2) + means.square().sum(1)[:, None]
            torch.minimum(best, squared, out=best)
        if without is not None:
            best[torch.arange(len(x)), without] = math.inf
        return best.topk(min(CANDIDATES, best.shape[1] - (without is not None)), largest=False).indices

    def _compare(self, image: Tensor, rows: Tensor) -> Near:
        distance, order = worst_patch(image, levels(self.source.read(rows.tolist()).images)).sort()
        return Near(rows[order], distance)


def worst_patch(image: Tensor, others: Tensor) -> Tensor:
    """Root-mean-square difference in the worst patch between one image (C, H, W) and others (K, C, H, W), (K,).

    Each of the others is met by the window that fits it best, and brought to the brightness that fits best.
    """
    channels, height, width = image.shape
    windows = torch.stack(list(_windows(image[None])))[:, 0]  # (T, C, h, w)
    middles = _middle(others)
    flat, targets = windows.flatten(1), middles.flatten(1)
    squared = flat.square().sum(1)[:, None] - 2 * flat @ targets.T + targets.square().sum(1)  # (T, K)
    best = windows[squared.argmin(0)]  # (K, C, h, w)
    colour = slice(0, channels - has_alpha(channels))
    full = best[:, -1:] if has_alpha(channels) else best.new_full((1, 1, 1, 1), 255.0)  # as white as it can be
    told = best[:, colour] < WHITE * full  # what may have been cut off tells nothing of the brightness
    shown, wanted = ((x[:, colour] * told).flatten(1) for x in (best, middles))
    gain = (shown * wanted).sum(1) / wanted.square().sum(1).clamp(min=1)
    gain = torch.where(told.flatten(1).any(1), gain, 1.0).clamp(1 - BRIGHTER, 1 + BRIGHTER)
    lit = torch.minimum(middles[:, colour] * gain[:, None, None, None], full)
    middles = torch.cat([lit, middles[:, colour.stop :]], 1)
    side = max(1, min(PATCH, height // 4, width // 4))
    fine = max(1, side // 2)
    wrong = avg_pool2d(best - middles, fine, ceil_mode=True).square().mean(1, keepdim=True)
    return avg_pool2d(wrong, side // fine, ceil_mode=True).flatten(1).amax(1).sqrt()


def levels(images: Tensor) -> Tensor:
    """uint8 (B, C, H, W) as premultiplied levels 0 to 255, averaged over blocks where a side is above SIDE."""
    x = (to_float(images) + 1) * HALF
    block = math.ceil(max(x.shape[-2:]) / SIDE)
    return avg_pool2d(x, block) if block > 1 and min(x.shape[-2:]) >= block else x


def _reach(x: Tensor) -> int:
    return min(REACH, min(x.shape[-2:]) // 8)


def _middle(x: Tensor) -> Tensor:
    reach, (height, width) = _reach(x), x.shape[-2:]
    return x[..., reach : height - reach, reach : width - reach]


def _windows(x: Tensor, step: int = 1) -> Iterator[Tensor]:
    """Images (B, C, H, W), mirrored or not, cut R smaller at each place (at every second with a step of 2)."""
    reach, (height, width) = _reach(x), x.shape[-2:]
    places = range(step - 1, 2 * reach + 1, step)
    for y in (x, x.flip(-1)):
        for top in places:
            for left in places:
                yield y[..., top : top + height - 2 * reach, left : left + width - 2 * reach]


def _coarse(x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    return adaptive_avg_pool2d(x, (min(COARSE, height), min(COARSE, width))).flatten(1)


class FeatureSearch:
    """Images of a source by their features of length one: an even sample of them, as `reference` keeps it."""

    def __init__(self, known: Rows, look: Extractor) -> None:
        self.look = look
        self.rows = known.index
        self._known = _unit(known.features)  # (N, D)

    def ratios(self, images: Tensor, without: Tensor | None = None) -> Alike:
        """How much nearer the nearest is than the second, for uint8 images (B, C, H, W) or their mirror images.

        The second is the nearest of those that are further from the first than the image itself:
        two copies of one training image do not hide each other. Where there is none, the ratio is 1.
        """
        parts = [self._ratios(images[part], None if without is None else without[part])
                 for part in torch.split(torch.arange(len(images)), TOGETHER)]  # fmt: skip
        return Alike(torch.cat([part.row for part in parts]), torch.cat([part.ratio for part in parts]))

    def _ratios(self, images: Tensor, without: Tensor | None) -> Alike:
        near = self._features(images) @ self._known.T  # (B, N)
        if not self.look.symmetric:
            near = torch.maximum(near, self._features(images.flip(-1)) @ self._known.T)
        if without is not None:
            near[self.rows[None] == without[:, None]] = -math.inf
        cosine, rows = near.topk(min(CANDIDATES, near.shape[1]))
        candidates = self._known[rows]  # (B, K, D)
        apart = _distance((candidates @ candidates[:, 0, :, None])[..., 0])  # (B, K), from the first
        distance = _distance(cosine)
        first = distance[:, :1]
        others = torch.where(apart > first.clamp(min=ROUNDING), distance, math.inf).amin(1)
        ratio = torch.where(others.isfinite(), first[:, 0] / others.clamp(min=ROUNDING), 1.0)
        return Alike(self.rows[rows[:, 0]], ratio)

    def _features(self, images: Tensor) -> Tensor:
        return _unit(self.look.look(images).features)


def _unit(features: Tensor) -> Tensor:
    """Vectors (B, D) at length one."""
    return features / features.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)


def _distance(cosine: Tensor) -> Tensor:
    """Between two vectors of length one, 0 to 2."""
    return (2 - 2 * cosine).clamp(min=0).sqrt()
