"""The order of training images is a pure function of the seed and the images seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from image_files import noise
from torch import Tensor

from triptych.data import Stream, stream
from triptych.data.arrays import ArraySource
from triptych.data.stream import moved
from triptych.errors import DataError, UsageError
from triptych.pixels import to_float


def numbered(count: int, *shape: int) -> ArraySource:
    """Images that are all of one grey, their number, with their number as label."""
    images = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, *(shape or (1, 8, 8))), np.uint8)
    return ArraySource(images, np.arange(count), [str(label) for label in range(count)])


def labels(source: ArraySource, seed: int, batch: int, seen: int) -> list[int]:
    return Stream(source, seed, batch).batch(seen).given["labels"].tolist()


def test_images_and_labels_belong_together_and_are_floats() -> None:
    batch = Stream(numbered(10), 0, 6).batch(0)
    assert batch.images.dtype == torch.float32
    assert batch.images.shape == (6, 1, 8, 8)
    assert batch.given["labels"].dtype == torch.int64
    numbers = ((batch.images + 1) * 127.5).round()
    assert torch.equal(numbers[:, 0, 0, 0].long(), batch.given["labels"])
    assert Stream(ArraySource(noise(4, 3, 8, 8)), 0, 2).batch(0).given == {}


def test_each_epoch_is_another_permutation_of_all() -> None:
    source = numbered(50)
    epochs = [labels(source, 3, 50, 50 * number) for number in range(4)]
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert epochs[0] != labels(source, 4, 50, 0)


def test_no_history_matters() -> None:
    source, forwards = numbered(23), list(range(0, 200, 8))
    reader = Stream(source, 1, 8, flip=True, shift=2)
    seen = {start: reader.batch(start) for start in forwards}
    for start in reversed(forwards):
        fresh = Stream(source, 1, 8, flip=True, shift=2).batch(start)
        for again in (reader.batch(start), fresh):
            assert torch.equal(again.images, seen[start].images)
            assert torch.equal(again.given["labels"], seen[start].given["labels"])


def test_the_batch_size_only_cuts() -> None:
    source = ArraySource(noise(20, 3, 9, 7))
    whole = Stream(source, 5, 60, flip=True, shift=3).batch(0).images
    parts = Stream(source, 5, 7, flip=True, shift=3)
    pieces = torch.cat([parts.batch(start).images for start in range(0, 56, 7)])
    assert torch.equal(pieces, whole[:56])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_images_than_a_batch_come_again(count: int) -> None:
    drawn = labels(numbered(count), 0, 16, 3)
    assert len(drawn) == 16
    assert set(drawn) == set(range(count))
    assert max(drawn.count(number) for number in drawn) <= 16 // count + 2


def test_a_set_that_does_not_fit_is_read_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    source = numbered(30, 2, 8, 8)
    resident = Stream(source, 0, 8, flip=True, shift=1)
    assert resident._resident is not None
    monkeypatch.setattr(stream, "MOST_RESIDENT", 100)
    read = Stream(source, 0, 8, flip=True, shift=1)
    assert read._resident is None
    for start in (0, 24, 60):
        assert torch.equal(read.batch(start).images, resident.batch(start).images)
        assert torch.equal(read.batch(start).given["labels"], resident.batch(start).given["labels"])


def test_a_large_set_moves_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_ROWS", 7)
    source = numbered(30)
    assert torch.equal(Stream(source, 0, 30).batch(0).images, to_float(source.read(order(source)).images))


def order(source: ArraySource) -> list[int]:
    return labels(source, 0, 30, 0)


def moved_slowly(image: Any, flip: bool, down: int, right: int) -> Any:
    """The same by padding and cutting."""
    if flip:
        image = image[:, :, ::-1]
    most = max(abs(down), abs(right))
    wide = np.pad(image, ((0, 0), (most, most), (most, most)), mode="reflect")
    height, width = image.shape[1:]
    return wide[:, most - down : most - down + height, most - right : most - right + width]


def test_flips_and_shifts() -> None:
    images, chances = noise(40, 2, 5, 8), np.random.default_rng(0)
    flips, shifts = chances.random(40) < 0.5, chances.integers(-4, 5, (40, 2))
    result = moved(torch.from_numpy(images), torch.from_numpy(flips), torch.from_numpy(shifts))
    for index in range(40):
        slow = moved_slowly(images[index], bool(flips[index]), int(shifts[index, 0]), int(shifts[index, 1]))
        np.testing.assert_array_equal(result[index].numpy(), slow)


def test_half_are_mirrored_and_all_shifts_occur() -> None:
    image = np.zeros((1, 1, 9, 9), np.uint8)
    image[0, 0, 4, 3] = 255
    source = ArraySource(np.repeat(image, 400, axis=0))

    def places(**how: Any) -> set[tuple[int, int]]:
        return {where(x) for x in Stream(source, 0, 400, **how).batch(0).images}

    def where(x: Tensor) -> tuple[int, int]:
        row, column = (x[0] > 0).nonzero()[0].tolist()
        return row, column

    assert places() == {(4, 3)}
    assert places(flip=True) == {(4, 3), (4, 5)}
    assert places(shift=1) == {(row, column) for row in (3, 4, 5) for column in (2, 3, 4)}
    mirrored = [where(x) == (4, 5) for x in Stream(source, 0, 400, flip=True).batch(0).images]
    assert 150 < sum(mirrored) < 250  # five standard deviations around 200


def test_the_same_images_come_in_the_same_order_with_and_without_augmentation() -> None:
    source = numbered(20)
    plain, moving = Stream(source, 0, 20), Stream(source, 0, 20, flip=True, shift=2)
    assert torch.equal(plain.batch(40).given["labels"], moving.batch(40).given["labels"])


def test_colour_is_multiplied_by_alpha() -> None:
    images = np.full((1, 4, 8, 8), 200, np.uint8)
    images[:, 3] = 51  # a fifth
    x = Stream(ArraySource(images), 0, 1).batch(0).images
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor([40, 40, 40, 51]) / 127.5 - 1)


def test_impossible_streams() -> None:
    source = numbered(4)
    with pytest.raises(DataError, match="no images"):
        Stream(source.subset(np.array([], np.int64)), 0, 4)
    for batch in (0, -1):
        with pytest.raises(UsageError, match="batch is"):
            Stream(source, 0, batch)
    for shift in (-1, 8):
        with pytest.raises(UsageError, match="shift is"):
            Stream(source, 0, 4, shift=shift)
