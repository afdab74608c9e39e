"""An endless stream of training batches: what comes at a position depends on the seed alone.

Image number `seen` of the stream is in epoch seen // N, at place seen % N of that epoch's own
permutation, and has that epoch's own flip and shift. No state is kept, so resuming needs none, and
another batch size cuts the same stream into other pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from triptych import chance, ranks
from triptych.core import Batch, Source
from triptych.errors import DataError, UsageError
from triptych.pixels import to_float

MOST_RESIDENT = 2**30  # bytes of a set that is kept in main memory
_ROWS = 4096  # read at once when a set moves to the device


class _Epoch(NamedTuple):
    order: Tensor  # (N,) positions in the source
    flips: Tensor  # (N,) bool
    shifts: Tensor  # (N, 2) pixels down and to the right


class Stream:
    """Batches of `source`, forever: float images in [-1, 1] on `device`.

    `flip` mirrors every second image on average; `shift` moves each by up to so many pixels in both
    directions, with the border reflected. A set of at most 1 GiB (on a GPU: a quarter of the free
    memory) lives on the device. Raises `DataError` where there are no images and `UsageError` for a
    batch below 1 or a shift that is as large as an image.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        batch: int,
        device: torch.device | str = "cpu",
        flip: bool = False,
        shift: int = 0,
    ) -> None:
        if not len(source):
            raise DataError("There are no images to train on.")
        if batch < 1:
            raise UsageError(f"batch is {batch}: give at least 1.")
        if not 0 <= shift < min(source.image_shape[1:]):
            _, height, width = source.image_shape
            raise UsageError(f"shift is {shift} for images of {height}x{width}: give less.")
        self.source, self.seed, self.size, self.device = source, seed, batch, torch.device(device)
        self.flip, self.shift = flip, shift
        self._epochs: dict[int, _Epoch] = {}
        self._resident = _resident(source, self.device) if _fits(source, self.device) else None

    def batch(self, seen: int) -> Batch:
        """The images number seen to seen + batch - 1 of the stream; more than the source holds come again.

        One of several processes gets its share of them.
        """
        order, flips, shifts = (ranks.own(rows) for rows in self._rows(seen))
        images, given = self._read(order)
        if self.flip or self.shift:
            images = moved(images, flips.to(self.device), shifts.to(self.device))
        return Batch(to_float(images), given)

    def _rows(self, seen: int) -> _Epoch:
        count, end, pieces = len(self.source), seen + self.size, []
        while seen < end:
            epoch, start = divmod(seen, count)
            stop = min(count, start + end - seen)
            pieces.append([part[start:stop] for part in self._epoch(epoch)])
            seen += stop - start
        return _Epoch(*(torch.cat(parts) for parts in zip(*pieces, strict=True)))

    def _epoch(self, number: int) -> _Epoch:
        if number not in self._epochs:
            count, chances = len(self.source), chance.generator(self.seed, "augment", number)
            order = torch.randperm(count, generator=chance.generator(self.seed, "epoch", number))
            flips = torch.rand(count, generator=chances) < 0.5 * self.flip
            shifts = torch.randint(-self.shift, self.shift + 1, (count, 2), generator=chances)
            self._epochs = {key: self._epochs[key] for key in self._epochs if key == number - 1}
            self._epochs[number] = _Epoch(order, flips, shifts)
        return self._epochs[number]

    def _read(self, order: Tensor) -> Batch:
        if self._resident is None:
            return _to(self.source.read(order.tolist()), self.device)
        rows = order.to(self.device)
        images, given = self._resident
        return Batch(images[rows], {key: value[rows] for key, value in given.items()})


def moved(images: Tensor, flips: Tensor, shifts: Tensor) -> Tensor:
    """Images (B, C, H, W) mirrored where `flips` (B,) and moved by `shifts` (B, 2), the border reflected."""
    _, channels, height, width = images.shape
    rows = _reflected(torch.arange(height, device=images.device) - shifts[:, :1], height)  # (B, H)
    columns = _reflected(torch.arange(width, device=images.device) - shifts[:, 1:], width)  # (B, W)
    columns = torch.where(flips[:, None], width - 1 - columns, columns)
    places = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)  # (B, H * W)
    return images.flatten(2).gather(2, places[:, None].expand(-1, channels, -1)).view_as(images)


def _reflected(places: Tensor, size: int) -> Tensor:
    """Places outside 0 .. size - 1 folded back; the border itself is not repeated."""
    return size - 1 - (places.abs() - (size - 1)).abs()


def _fits(source: Source, device: torch.device) -> bool:
    channels, height, width = source.image_shape
    most = torch.cuda.mem_get_info(device)[0] // 4 if device.type == "cuda" else MOST_RESIDENT
    return len(source) * channels * height * width <= most


def _resident(source: Source, device: torch.device) -> Batch:
    """The whole source on the device."""
    portions = [range(start, min(start + _ROWS, len(source))) for start in range(0, len(source), _ROWS)]
    parts = [_to(source.read(portion), device) for portion in portions]
    given = {key: torch.cat([part.given[key] for part in parts]) for key in parts[0].given}
    return Batch(torch.cat([part.images for part in parts]), given)


def _to(batch: Batch, device: torch.device) -> Batch:
    return Batch(batch.images.to(device), {key: value.to(device) for key, value in batch.given.items()})
