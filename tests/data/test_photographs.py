"""Single image files are what the same files are in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data import open_data
from triptych.data.photographs import open_images
from triptych.errors import DataError


@pytest.mark.parametrize(("channels", "fit"), [(1, "crop"), (3, "pad"), (4, "stretch")])
def test_a_file_is_the_same_alone_as_in_its_folder(
    channels: int, fit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large photographs too, which are decoded at a part of their size."""
    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data"))
    chance = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name, sides in (("a.jpg", (300, 400)), ("b.png", (20, 14)), ("c.jpg", (9, 9))):
        coarse = Image.fromarray(chance.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        coarse.resize(sides, Image.Resampling.BICUBIC).save(tmp_path / "photos" / name)
    wish = {"size": (12, 16), "channels": channels, "fit": fit}
    folder = open_data(tmp_path / "photos", **wish, note=lambda sentence: None).everything  # type: ignore[arg-type]
    alone = open_images([tmp_path / "photos" / name for name in folder.names], (channels, 12, 16), fit)
    assert list(alone.names) == ["a.jpg", "b.png", "c.jpg"]
    assert np.array_equal(alone.digests, folder.digests)


def test_what_is_no_image_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    for name, sentence in (("x.png", "is not used"), ("gone.png", "cannot be read"), ("", "give an image file")):
        with pytest.raises(DataError, match=sentence):
            open_images([tmp_path / name], (1, 8, 8))
