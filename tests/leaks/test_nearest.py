"""What is near: copies under the damage that is undone, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from blobs import AVERAGES, blobs, source
from triptych.extractors import Extractor, Seen
from triptych.leaks.nearest import REACH, SIDE, FeatureSearch, PixelSearch, levels, worst_patch
from triptych.metrics.summary import Rows

TRAIN = blobs(200, side=24)


def moved(images: torch.Tensor, down: int, right: int) -> torch.Tensor:
    return images.roll((down, right), (2, 3))


@pytest.mark.parametrize("down", range(-REACH, REACH + 1))
@pytest.mark.parametrize("right", range(-REACH, REACH + 1))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_copy_is_found_wherever_it_was_moved(down: int, right: int, mirrored: bool) -> None:
    copies = moved(TRAIN[:10], down, right)
    near = PixelSearch(source(TRAIN)).nearest(copies.flip(-1) if mirrored else copies)
    assert near.rows[:, 0].tolist() == list(range(10))
    assert float(near.distance[:, 0].max()) < 0.01


def test_one_step_too_far_is_not_undone() -> None:
    near = PixelSearch(source(TRAIN)).nearest(moved(TRAIN[:10], REACH + 1, 0))
    assert float(near.distance[:, 0].min()) > 1


def test_the_distance_is_that_of_the_worst_patch() -> None:
    image = torch.full((1, 16, 16), 100.0)
    other = image.clone()
    other[0, 2:6, 2:6] = 130  # exactly one of the 4x4 patches of the middle; the fitted brightness moves it a little
    middle = other[:, 2:14, 2:14]
    gain = float((100 * middle).sum() / middle.square().sum())
    assert float(worst_patch(image, other[None])[0]) == pytest.approx(130 * gain - 100, rel=1e-4)


def test_what_alternates_from_pixel_to_pixel_does_not_count() -> None:
    """A chessboard of +-10 levels costs one, by its brightness; columns that are two pixels wide cost all of it."""
    image = torch.full((1, 16, 16), 100.0)
    rows, columns = torch.arange(16)[:, None], torch.arange(16)[None]
    for pattern, distance in (((rows + columns) % 2, 1.0), ((columns // 2) % 2 + 0 * rows, 10.0)):
        other = image + 10.0 * (2 * pattern - 1)
        assert float(worst_patch(image, other[None])[0]) == pytest.approx(distance, abs=0.2)


def test_what_is_white_stays_white_in_a_brighter_copy() -> None:
    image = 100 + 140 * torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0))
    image[:, :, :12] = 252.0
    brighter = (1.05 * image).clamp(max=255)
    assert float(worst_patch(brighter, image[None])[0]) < 1.0


def test_brightness_is_undone_within_a_tenth() -> None:
    real = blobs(1, seed=3).float()[0] * 0.5
    assert float(worst_patch(real * 1.08, real[None])[0]) < 0.01
    assert float(worst_patch(real * 1.4, real[None])[0]) > 5


def test_the_nearest_are_those_of_a_full_search() -> None:
    """On images so small that nothing is averaged or moved, against all pairs."""
    small, asked = blobs(60, side=6), blobs(20, seed=9, side=6)
    near = PixelSearch(source(small)).nearest(asked)
    for image, row, distance in zip(asked, near.rows, near.distance, strict=True):
        every = worst_patch(image.float(), small.float())
        assert set(row.tolist()) <= set(range(60))
        assert torch.allclose(distance, every[row], atol=1e-3)
        assert float(distance[0]) <= float(every.sort().values[8]) + 1e-3


def test_an_image_can_be_left_out() -> None:
    near = PixelSearch(source(TRAIN)).nearest(TRAIN[:30], torch.arange(30))
    assert not (near.rows == torch.arange(30)[:, None]).any()
    assert bool((near.distance[:, 0] > 1).all())


def test_what_cannot_be_seen_does_not_count() -> None:
    """Colour under an alpha of zero differs, the images do not."""
    real = blobs(20, channels=4)
    real[:, 3] = 255
    real[:, 3, :, 8:] = 0
    other = real.clone()
    other[:, :3, :, 8:] = 255 - other[:, :3, :, 8:]
    near = PixelSearch(source(real)).nearest(other)
    assert float(near.distance[:, 0].max()) == 0


def test_large_images_are_averaged_first() -> None:
    large = torch.full((1, 3, 2 * SIDE, SIDE), 77, dtype=torch.uint8)
    assert levels(large).shape == (1, 3, SIDE, SIDE // 2)
    assert torch.allclose(levels(large), torch.tensor(77.0))


def test_a_single_pixel_is_an_image_too() -> None:
    real = torch.tensor([[[[10]]], [[[200]]]], dtype=torch.uint8)
    near = PixelSearch(source(real)).nearest(real)
    assert near.rows[:, 0].tolist() == [0, 1]


def known(images: torch.Tensor, look: Extractor = AVERAGES) -> FeatureSearch:
    return FeatureSearch(Rows(torch.arange(len(images)), look.look(images).features), look)


def test_the_ratio_in_features_is_small_for_copies_alone() -> None:
    search = known(TRAIN)
    copies, fresh = search.ratios(TRAIN[:20].flip(-1)), search.ratios(blobs(20, seed=5, side=24))
    assert copies.row.tolist() == list(range(20))
    assert float(copies.ratio.max()) < 0.01
    assert float(fresh.ratio.min()) > 0.3


def test_repeats_in_the_training_set_do_not_hide_a_copy() -> None:
    twice = torch.cat([TRAIN, TRAIN[:20]])
    assert float(known(twice).ratios(TRAIN[:20]).ratio.max()) < 0.01


def test_the_ratio_is_the_one_of_geometry() -> None:
    """Unit vectors in the plane: the image at 0.1 and 0.5 rad from its neighbours."""
    angles = torch.tensor([0.1, -0.5, 3.0])
    rows = Rows(torch.tensor([4, 7, 9]), torch.stack([angles.cos(), angles.sin()], 1))
    flat = Extractor("axis", "axis", lambda images: Seen(torch.tensor([[2.0, 0.0]]).expand(len(images), 2)))
    found = FeatureSearch(rows, flat).ratios(blobs(3))
    assert found.row.tolist() == [4, 4, 4]
    assert found.ratio[0].item() == pytest.approx(np.sin(0.05) / np.sin(0.25), rel=1e-5)


def test_alone_in_its_gallery_nothing_stands_out() -> None:
    assert known(TRAIN[:1]).ratios(TRAIN[:2]).ratio.tolist() == [1.0, 1.0]


def test_neighbours_closer_than_rounding_give_a_ratio_all_the_same() -> None:
    """Directions about a thousandth apart, where float32 takes some distances for none."""
    draw = torch.Generator().manual_seed(0)
    centres = torch.randn(300, 1, 4096, generator=draw)
    known_twice = centres + torch.linspace(5e-4, 1e-3, 8)[:, None] * torch.randn(300, 8, 4096, generator=draw)
    ratios = []
    for centre, neighbours in zip(centres, known_twice, strict=True):
        look = Extractor("one", "one", lambda images, seen=centre: Seen(seen.expand(len(images), 4096)))
        ratios.append(FeatureSearch(Rows(torch.arange(8), neighbours), look).ratios(blobs(1)).ratio)
    found = torch.cat(ratios)
    assert bool(((found >= 0) & (found <= 1)).all())
