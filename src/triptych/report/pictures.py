"""The images of a report: grids as PNG files, and as many inside the page as it has room for.

The page holds every image without loss, so that an eye can judge it; where all would be too much, it
shows as many of each set as fit, in whole rows. Images far larger than they are drawn are halved.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

from torch import Tensor
from torch.nn.functional import avg_pool2d

from triptych import pixels
from triptych.report.entries import Entry
from triptych.report.html import data_uri

ROOM = 2_500_000  # characters of all images in a page
GLANCE = 8  # the first of each set are shown twice
DRAWN = 160  # a side from twice this on is halved
ROWS = (16, 8)  # images in a row; a set that is cut ends with one


def names(results: Sequence[Entry]) -> dict[int, str]:
    """The file name of each model's grid, by its place; models are named by people, files are not."""
    found: dict[int, str] = {}
    for index, entry in enumerate(results):
        stem = "model-" + (re.sub(r"[^\w.-]+", "-", entry.name)[:80] or "-")
        taken = {name.lower() for name in found.values()}
        name = f"{stem}.png" if f"{stem}.png".lower() not in taken else f"{stem}-{index + 1}.png"
        if entry.images is not None:
            found[index] = name
    return found


def uris(sets: Sequence[Tensor | None], room: int = ROOM) -> list[list[str]]:
    """Each set's first images, uint8 (N, C, H, W), as data URIs; equally many of each that has as many."""
    coded = [[data_uri(image) for image in small(images)] if images is not None else [] for images in sets]
    longest = max(map(len, coded), default=0)
    layers = [sum((1 + (at < GLANCE)) * len(one[at]) for one in coded if at < len(one)) for at in range(longest)]
    fitting = sum(total <= room for total in accumulate(layers))
    if fitting < longest:
        row = next((row for row in ROWS if fitting >= row), 1)
        fitting = max(fitting // row * row, 1)
    return [one[:fitting] for one in coded]


def small(images: Tensor) -> Tensor:
    """Images halved, by means of 2 x 2 pixels in [-1, 1], until no side is twice DRAWN or more."""
    while max(images.shape[-2:]) >= 2 * DRAWN and min(images.shape[-2:]) > 1:
        images = pixels.to_uint8(avg_pool2d(pixels.to_float(images), 2))
    return images
