"""Sizes and channels: what is kept, what is invented, and that it is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from image_files import noise

from triptych.data.fit import FITS, channel_note, channels_for, check, fit_to, to_channels
from triptych.errors import UsageError


@pytest.mark.parametrize("fit", FITS)
def test_the_right_size_is_left_alone(fit: str) -> None:
    image = noise(13, 37, 3)
    pixels, notes = fit_to(image, (13, 37), fit)
    assert pixels is image
    assert notes == ()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(8, 8), (13, 37), (128, 9), (1, 1)])
def test_every_size_and_channel_count(fit: str, channels: int, size: tuple[int, int]) -> None:
    pixels, notes = fit_to(noise(31, 17, channels), size, fit)
    assert pixels.shape == (*size, channels)
    assert pixels.dtype == np.uint8
    enlarged = {"crop": max, "stretch": max, "pad": min}[fit](size[0] / 31, size[1] / 17) > 1
    assert notes == (("upscaled from 31x17",) if enlarged else ())


def test_crop_keeps_the_middle() -> None:
    image = np.repeat(np.arange(0, 120, 2, dtype=np.uint8)[None, :, None], 20, axis=0)  # 20x60, brighter to the right
    pixels, _ = fit_to(image, (10, 10), "crop")
    np.testing.assert_allclose(pixels[5, :, 0], np.arange(41, 79, 4), atol=1)


def test_stretch_keeps_the_borders() -> None:
    image = np.zeros((16, 64, 1), np.uint8)
    image[:, :32] = 200
    pixels, _ = fit_to(image, (8, 8), "stretch")
    np.testing.assert_allclose(pixels[:, [0, 1, 6, 7], 0], [[200, 200, 0, 0]] * 8, atol=20)


def test_pad_adds_black_or_nothing() -> None:
    for channels in (3, 4):
        pixels, _ = fit_to(np.full((16, 32, channels), 255, np.uint8), (16, 16), "pad")
        assert (pixels[4:12] == 255).all()
        assert not pixels[:4].any()
        assert not pixels[12:].any()


def test_shrinking_averages_and_does_not_pick() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., None]
    pixels, _ = fit_to(stripes, (8, 8), "stretch")
    assert abs(pixels.astype(float).mean() - 127.5) < 2
    assert np.ptp(pixels[:, 2:6]) < 30


def test_no_halo_around_an_outline() -> None:
    image = np.zeros((64, 64, 4), np.uint8)
    image[16:48, 16:48] = (200, 100, 50, 255)  # all around it, colour is zero and unseen
    pixels, _ = fit_to(image, (21, 21), "stretch")
    seen = pixels[pixels[..., 3] > 0]
    assert (seen[:, 3] < 250).any()  # there is a soft edge
    np.testing.assert_allclose(seen[:, :3], np.broadcast_to((200, 100, 50), (len(seen), 3)), atol=1)
    assert not pixels[pixels[..., 3] == 0].any()


def test_extreme_shapes() -> None:
    for shape in ((1, 5000, 3), (5000, 1, 3), (1, 1, 3)):
        for fit in FITS:
            assert fit_to(np.full(shape, 9, np.uint8), (16, 16), fit)[0].shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("counts", "wanted"), [([1], 1), ([2, 1], 2), ([3, 1], 3), ([3, 2], 4), ([4], 4), ([1, 4], 4), ([2], 2)]
)
def test_channels_of_a_set(counts: list[int], wanted: int) -> None:
    assert channels_for(counts) == wanted


@pytest.mark.parametrize("present", [1, 2, 3, 4])
@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_channel_conversions(present: int, wanted: int) -> None:
    image = noise(5, 6, present)
    changed = to_channels(image, wanted)
    assert changed.shape == (5, 6, wanted)
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed, wanted_of(image, wanted))
    lossless = channels_for([present, wanted]) == wanted
    if lossless:
        np.testing.assert_array_equal(to_channels(changed, present), image)
    assert bool(channel_note(present, wanted)) == (not lossless or (present < 3 <= wanted))


def wanted_of(image: Any, wanted: int) -> Any:
    """The same by an independent way: floats, one step at a time."""
    present, x = image.shape[2], image.astype(float)
    colour, alpha = (x[..., :-1], x[..., -1:]) if present in (2, 4) else (x, np.full((*x.shape[:2], 1), 255.0))
    if wanted in (1, 3):
        colour = np.rint(colour * alpha / 255 + 255 * (1 - alpha / 255))
    if wanted < 3 and colour.shape[2] == 3:
        colour = np.rint(0.299 * colour[..., :1] + 0.587 * colour[..., 1:2] + 0.114 * colour[..., 2:])
    if wanted >= 3 and colour.shape[2] == 1:
        colour = np.concatenate([colour] * 3, axis=2)
    return np.concatenate([colour, alpha], axis=2) if wanted in (2, 4) else colour


@pytest.mark.parametrize("size", [0, -1, 4097, 10**12, (8,), (8, 0), (8, 8, 8), "64", 8.5, (8, 8.5), float("nan")])
def test_impossible_sizes(size: Any) -> None:
    with pytest.raises(UsageError, match="size"):
        check(size, None, "crop")


def test_impossible_wishes() -> None:
    with pytest.raises(UsageError, match="did you mean 'crop'"):
        check(8, None, "crob")
    with pytest.raises(UsageError, match="channels is 5"):
        check(8, 5, "crop")
    assert check(8, 3, "pad") == (8, 8)
    assert check((8, 9), None, "pad") == (8, 9)
