"""`open_data`: every kind of place, the split, and the sentences that a user should hear."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_files import encoded, noise

from triptych.data import data_folder, open_data, pack
from triptych.data.arrays import ArraySource, digest, held_out
from triptych.errors import DataError, UsageError

Photos = Callable[..., Path]


def zipped(root: Path, out: Path) -> Path:
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(root.rglob("*.png")):
            archive.write(path, f"{root.name}/{path.relative_to(root)}")
    return out


def test_folder_zip_and_pack_hold_the_same(photos: Photos, tmp_path: Path, heard: list[str]) -> None:
    root = photos({"cat": 12, "dog": 9})
    pack(root, tmp_path / "p.pack", note=heard.append)
    folder = open_data(root, note=heard.append)
    opened = open_data(str(tmp_path / "p.pack"), note=heard.append)
    archive = open_data(zipped(root, tmp_path / "photos.zip"), note=heard.append)
    assert folder.name == opened.name == archive.name == "photos"
    assert folder.everything.fingerprint == opened.everything.fingerprint
    for splits in (folder, opened, archive):
        assert splits.everything.class_names == ("cat", "dog")
        for side in (0, 1):
            batch, other = (s[side].read(range(len(s[side]))) for s in (splits, folder))
            assert torch.equal(batch.images, other.images)
            assert torch.equal(batch.given["labels"], other.given["labels"])


def test_a_folder_is_packed_once(photos: Photos, heard: list[str]) -> None:
    root = photos({"": 100})
    first = open_data(root, note=heard.append)
    assert any("Packed 100 images at 8x8x3" in text for text in heard)
    heard.clear()
    assert open_data(root, note=heard.append).everything.fingerprint == first.everything.fingerprint
    assert heard == []
    assert len(list((data_folder() / "packs").iterdir())) == 1
    (root / "new.png").write_bytes(encoded(noise(8, 8, 3, seed=77)))
    assert len(open_data(root, note=heard.append).everything) == 101
    assert any("Packed 101" in text for text in heard)


def test_refused_files_are_heard_of(photos: Photos, heard: list[str]) -> None:
    root = photos({"": 3})
    (root / "bad.png").write_bytes(b"")
    (root / "deep.png").write_bytes(encoded(noise(8, 8).astype(np.uint16)))
    open_data(root, note=heard.append)
    assert any("1 files were not used: bad.png: an empty file" in text for text in heard)
    assert any("16-bit grey" in text for text in heard)


@pytest.mark.parametrize("where", ["missing/", "./missing", "missing.zip", "a/b.npz"])
def test_places_that_are_not_there(where: str, heard: list[str]) -> None:
    with pytest.raises(DataError, match="does not exist") as caught:
        open_data(where, note=heard.append)
    assert caught.value.code == 3


@pytest.mark.parametrize("where", ["", "x" * 300, "nul\0"])
def test_names_that_cannot_be(where: str, heard: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no data set"):
        open_data(where, note=heard.append)
    with pytest.raises(UsageError, match="There is no data set"):
        pack(where, tmp_path / "p.pack", note=heard.append)


def test_a_single_file_is_no_data_set(tmp_path: Path, heard: list[str]) -> None:
    (tmp_path / "a.png").write_bytes(encoded(noise(8, 8)))
    with pytest.raises(DataError, match="a single file"):
        open_data(tmp_path / "a.png", note=heard.append)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_impossible_fractions(fraction: float) -> None:
    with pytest.raises(UsageError, match="validation is"):
        open_data("digits", validation=fraction)


def test_conversion_on_opening(photos: Photos, tmp_path: Path, heard: list[str]) -> None:
    splits = open_data("digits", size=(16, 12), channels=3, fit="stretch", note=heard.append)
    assert splits.train.image_shape == (3, 16, 12)
    assert heard == ["1,797 images: upscaled from 8x8.", "1,797 images: grey to RGB."]
    plain = open_data("digits", note=heard.append)
    assert list(splits.validation.names) == list(plain.validation.names)  # the split is that of the data
    assert open_data(photos({"": 2}), size=9, channels=4, note=heard.append).train.image_shape == (4, 9, 9)
    with pytest.raises(UsageError, match="size is"):
        open_data("digits", size=0)


def sides(source: ArraySource) -> set[bytes]:
    return {row.tobytes() for row in source.digests}


def test_copies_stay_on_one_side(tmp_path: Path, heard: list[str]) -> None:
    (tmp_path / "set").mkdir()
    for index in range(120):
        (tmp_path / "set" / f"{index}.png").write_bytes(encoded(noise(8, 8, seed=index % 40)))
    splits = open_data(tmp_path / "set", validation=0.3, note=heard.append)
    assert len(splits.train) + len(splits.validation) == 120
    assert not sides(splits.train) & sides(splits.validation)
    assert any("80 of 120 images are copies" in text for text in heard)


def test_the_split_is_seeded_stable_and_fair() -> None:
    images = digest(noise(4000, 1, 2, 2))
    mask = held_out(images, 0, 0.1)
    assert abs(mask.mean() - 0.1) < 0.024  # five standard deviations
    np.testing.assert_array_equal(mask, held_out(images, 0, 0.1))
    np.testing.assert_array_equal(mask[:500], held_out(images[:500], 0, 0.1))  # others do not matter
    order = np.random.default_rng(0).permutation(4000)
    np.testing.assert_array_equal(mask[order], held_out(images[order], 0, 0.1))  # nor does the order
    assert (mask & ~held_out(images, 0, 0.2)).sum() == 0  # a larger share keeps the smaller
    assert (mask != held_out(images, 1, 0.1)).any()


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("fraction", [1e-9, 0.5, 1 - 1e-9])
def test_both_sides_have_an_image(count: int, fraction: float) -> None:
    mask = held_out(digest(noise(count, 1, 2, 2)), 0, fraction)
    assert 0 < mask.sum() < count


def test_official_split_of_a_folder(photos: Photos, heard: list[str]) -> None:
    splits = open_data(photos({"train/cat": 5, "train/dog": 4, "test/cat": 3}), note=heard.append)
    assert (len(splits.train), len(splits.validation)) == (9, 3)
    assert {name.split("/")[0] for name in splits.validation.names} == {"test"}
    assert "No validation image is of class dog." in heard


def test_one_image_and_all_the_same(photos: Photos, tmp_path: Path, heard: list[str]) -> None:
    one = open_data(photos({"": 1}), note=heard.append)
    assert len(one.train) == len(one.validation) == 1
    assert any("only one image" in text for text in heard)
    (tmp_path / "same").mkdir()
    for index in range(5):
        (tmp_path / "same" / f"{index}.png").write_bytes(encoded(noise(8, 8)))
    same = open_data(tmp_path / "same", note=heard.append)
    assert len(same.train) == len(same.validation) == 5
    assert any("All images are the same" in text for text in heard)


def test_few_images_and_empty_classes_are_heard_of(photos: Photos, heard: list[str]) -> None:
    root = photos({"cat": 4, "dog": 4})
    (root / "eel").mkdir()
    (root / "fox").mkdir()
    (root / "fox" / "bad.png").write_bytes(b"bad")
    splits = open_data(root, note=heard.append)
    assert splits.train.class_names == ("cat", "dog")
    assert any("only 8 images" in text for text in heard)
    for name in ("eel", "fox"):
        assert f"Folder {name} has no image that can be used and is no class." in heard


def test_weird_names_survive(tmp_path: Path, heard: list[str]) -> None:
    root = tmp_path / "we\u202eird"
    root.mkdir()
    weird = [b"\xff.png", b"line\nbreak.png", "\U0001f600.png".encode(), b"-rf.png"]
    for number, name in enumerate(weird):
        path = os.fsdecode(os.fsencode(root) + b"/" + name)
        Path(path).write_bytes(encoded(noise(8, 8, seed=number)))
    Path(os.fsdecode(os.fsencode(root) + b"/bad\xfe\n.png")).write_bytes(b"")
    splits = open_data(root, note=heard.append)
    assert [os.fsencode(name) for name in splits.everything.names] == sorted(weird)
    assert all(text.isprintable() for text in heard)
    again = open_data(root, note=heard.append)
    assert again.everything.fingerprint == splits.everything.fingerprint


def npz(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_npz(tmp_path: Path, heard: list[str]) -> None:
    images, labels = noise(30, 9, 7, 3), np.arange(30) % 4
    splits = open_data(npz(tmp_path / "set.npz", images=images, labels=labels), note=heard.append)
    assert splits.name == "set"
    assert splits.everything.image_shape == (3, 9, 7)
    assert splits.everything.class_names == ("0", "1", "2", "3")
    batch = splits.everything.read([3, 29])
    np.testing.assert_array_equal(batch.images.permute(0, 2, 3, 1), images[[3, 29]])
    assert batch.given["labels"].tolist() == [3, 1]
    for key in ("x", "arr_0"):
        grey = open_data(npz(tmp_path / "grey.npz", **{key: images[..., 0]}), note=heard.append)
        assert grey.everything.image_shape == (1, 9, 7)
        assert grey.everything.class_names == ()


GOOD = noise(4, 8, 8, 3)
BAD_NPZ: dict[str, tuple[dict[str, Any], str]] = {
    "floats": ({"images": GOOD / 255}, "float64: save 0 to 255 as uint8"),
    "wide": ({"images": GOOD.astype(np.int64)}, "int64: save 0 to 255"),
    "key": ({"pictures": GOOD}, "holds pictures: name the images 'images'"),
    "channels first": ({"images": GOOD.transpose(0, 3, 1, 2)}, r"transpose\(0, 2, 3, 1\)"),
    "rank": ({"images": GOOD[0, 0]}, "save \\(N, H, W, C\\)"),
    "five channels": ({"images": noise(4, 8, 8, 5)}, "with 1 to 4 channels"),
    "none": ({"images": GOOD[:0]}, "save \\(N, H, W, C\\)"),
    "objects": ({"images": np.array([{}], dtype=object)}, "damaged or holds more than plain arrays"),
    "too few labels": ({"images": GOOD, "labels": np.arange(3)}, r"\(3,\) for 4 images"),
    "one-hot labels": ({"images": GOOD, "labels": np.eye(4, dtype=int)}, r"\(4, 4\) for 4 images"),
    "float labels": ({"images": GOOD, "labels": np.array([0, 1, np.nan, 2])}, "float64: save whole numbers"),
    "negative label": ({"images": GOOD, "labels": np.array([0, 1, -1, 2])}, "Label 2 .* is -1"),
    "huge label": ({"images": GOOD, "labels": np.array([0, 1, 2, 2**40])}, "Label 3 .* is 1099511627776"),
}


@pytest.mark.parametrize("kind", BAD_NPZ)
def test_npz_files_that_cannot_be_used_come_with_the_cure(kind: str, tmp_path: Path) -> None:
    arrays, message = BAD_NPZ[kind]
    with pytest.raises(DataError, match=message):
        open_data(npz(tmp_path / "set.npz", **arrays))


def test_damaged_npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npz(tmp_path / "set.npz", images=GOOD)
    data = bytearray(path.read_bytes())
    for spoiled in (data[:100], b"", b"text", bytes(data[:90]) + bytes([data[90] ^ 255]) + bytes(data[91:])):
        path.write_bytes(spoiled)
        with pytest.raises(DataError, match=r"set\.npz is damaged"):
            open_data(path)
    path.write_bytes(data)
    monkeypatch.setattr("triptych.data.npz.MOST_IN_MEMORY", 100)
    with pytest.raises(DataError, match="too many to read at once"):
        open_data(path)


def test_a_named_set_wins_over_a_folder_of_that_name(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photos({"": 3}, name="digits")
    assert len(open_data("digits", note=heard.append).everything) == 1797
    assert len(open_data("./digits", note=heard.append).everything) == 3
    assert len(open_data(Path("digits"), note=heard.append).everything) == 3


def test_a_subset_shares_pixels_and_has_its_own_fingerprint() -> None:
    source = ArraySource(noise(6, 1, 4, 4), np.array([0, 1, 2, 0, 1, 2]), ["a", "b", "c"])
    part = source.subset(np.array([4, 1])).subset(np.array([1]))
    assert list(part.names) == ["000001"]
    batch = part.read([0])
    np.testing.assert_array_equal(batch.images[0], noise(6, 1, 4, 4)[1])
    assert batch.given["labels"].tolist() == [1]
    assert part.fingerprint != source.fingerprint
    assert part.class_names == ("a", "b", "c")


def test_the_data_folder_follows_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_folder() == tmp_path / "data-folder"
    monkeypatch.delenv("TRIPTYCH_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.platform", "linux")
    assert data_folder() == tmp_path / "cache" / "triptych"
    monkeypatch.setattr("sys.platform", "darwin")
    assert data_folder().parts[-3:] == ("Library", "Caches", "triptych")


def test_two_packs_of_one_folder_do_not_mix(photos: Photos, heard: list[str]) -> None:
    root = photos({"": 3}, (12, 8))
    shapes = {
        open_data(root, size=size, fit=fit, note=heard.append).train.image_shape
        for size, fit in ((4, "crop"), (5, "pad"))
    }
    assert shapes == {(1, 4, 4), (1, 5, 5)}
    shutil.rmtree(root)
