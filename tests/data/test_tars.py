"""Tar archives: samples and their classes and texts, the sides of shards, and what is not read."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_files import encoded, noise

from triptych.cli import main
from triptych.data.decode import Refused
from triptych.data.opening import open_data, pack
from triptych.data.sources import files_of
from triptych.data.tars import Tars
from triptych.errors import DataError, UsageError

Members = list[tuple[str, bytes]]


def image(seed: int) -> bytes:
    return encoded(noise(8, 8, 3, seed=seed))


@pytest.fixture
def shard(tmp_path: Path) -> Callable[..., Path]:
    """A tar of these members under a name."""

    def make(members: Members, name: str = "set-000.tar", form: int = tarfile.PAX_FORMAT) -> Path:
        path = tmp_path / "shards" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w", format=form) as tar:
            for member, data in members:
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    return make


def samples(first: int, last: int) -> Members:
    """Images with a class from 8 to 10 and a text, the class before or behind its image."""
    members: Members = []
    for index in range(first, last):
        parts = [(f"{index:04d}.png", image(index)), (f"{index:04d}.cls", str(8 + index % 3).encode())]
        members += [*(parts if index % 2 else reversed(parts)), (f"{index:04d}.txt", f"image {index}".encode())]
    return members


def test_shards_carry_classes_and_texts(shard: Callable[..., Path], tmp_path: Path) -> None:
    shard(samples(0, 7)), shard(samples(7, 12), "set-001.tar")
    source = open_data(tmp_path / "shards").everything
    assert len(source) == 12
    assert source.class_names == ("8", "9", "10")  # in the order of the numbers
    assert source.labels is not None
    numbers = [int(text.removeprefix("image ")) for text in source.texts]
    assert sorted(numbers) == list(range(12))
    for row, number in enumerate(numbers):
        assert source.labels[row] == number % 3
        pixels = source.read([row]).images[0].permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, noise(8, 8, 3, seed=number))


def test_the_same_set_by_folder_pattern_and_list(shard: Callable[..., Path], tmp_path: Path) -> None:
    paths = [shard(samples(0, 4)), shard(samples(4, 9), "set-001.tar")]
    wheres = [tmp_path / "shards", str(tmp_path / "shards" / "*.tar"), paths, [str(path) for path in reversed(paths)]]
    marks = {pack(where, tmp_path / f"{number}.pack").fingerprint for number, where in enumerate(wheres)}
    assert len(marks) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves the file open
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_library_reads_the_same_samples(shard: Callable[..., Path]) -> None:
    """Against webdataset itself, which wrote the convention."""
    webdataset = pytest.importorskip("webdataset", reason="pip install webdataset")
    path = shard(samples(0, 6))
    files = Tars([path], "set")
    ours = {(entry.name.partition("/")[0], files.read(entry)) for entry in files.entries}
    theirs = {(s["cls"].decode(), s["png"]) for s in webdataset.WebDataset(str(path), shardshuffle=False)}
    assert ours == theirs
    assert len(ours) == 6


def test_names_of_shards_say_the_side(shard: Callable[..., Path], tmp_path: Path) -> None:
    shard(samples(0, 6), "birds-train-000.tar"), shard(samples(6, 9), "birds-validation-000.tar")
    splits = open_data(tmp_path / "shards")
    assert (len(splits.train), len(splits.validation)) == (6, 3)
    assert splits.everything.class_names == ("8", "9", "10")


def test_folders_in_a_tar_are_classes_without_cls(shard: Callable[..., Path]) -> None:
    path = shard([(f"./all/{kind}/{n}.png", image(n)) for n, kind in enumerate(["cat", "dog", "cat"])], "photos.tar")
    splits = open_data(path)
    assert splits.name == "photos"
    assert splits.everything.class_names == ("cat", "dog")
    assert [name.split("/")[-2] for name in splits.everything.names] == ["cat", "cat", "dog"]


def test_equal_names_in_two_shards_are_two_images(shard: Callable[..., Path], tmp_path: Path) -> None:
    shard([("1.png", image(1))]), shard([("1.png", image(2))], "set-001.tar")
    assert len(open_data(tmp_path / "shards").everything) == 2


def test_images_beside_tars_are_a_folder_of_images(shard: Callable[..., Path], tmp_path: Path) -> None:
    shard(samples(0, 3))
    (tmp_path / "shards" / "a.png").write_bytes(image(0))
    report = pack(tmp_path / "shards", tmp_path / "x.pack")
    assert report.images == 1
    assert [name for name, _ in report.refused] == ["set-000.tar"]


def test_a_changed_shard_is_another_set(shard: Callable[..., Path], tmp_path: Path) -> None:
    path = shard(samples(0, 3))
    files = Tars([path], "set")
    os.utime(path, ns=(1, 1))
    with pytest.raises(Refused, match="changed since"):
        files.read(files.entries[0])
    assert files.entries != Tars([path], "set").entries


def test_the_command_takes_several_or_one(shard: Callable[..., Path], tmp_path: Path) -> None:
    paths = [str(shard(samples(0, 4))), str(shard(samples(4, 9), "set-001.tar"))]
    assert main(["pack", *paths, str(tmp_path / "both.pack"), "--quiet"]) == 0
    assert main(["pack", paths[0], str(tmp_path / "one.pack"), "--quiet"]) == 0
    assert main(["pack", "digits", str(tmp_path / "digits.pack"), "--quiet"]) == 0
    assert [len(open_data(tmp_path / f"{name}.pack").everything) for name in ("both", "one")] == [9, 4]


def test_a_wrong_list_is_one_sentence(shard: Callable[..., Path], tmp_path: Path) -> None:
    path = shard(samples(0, 3))
    (tmp_path / "a.png").write_bytes(image(0))
    with pytest.raises(DataError, match="is no tar archive"):
        files_of([path, tmp_path / "a.png"])
    with pytest.raises((DataError, UsageError), match=r"none-\*.tar"):
        open_data(str(tmp_path / "none-*.tar"))
    (tmp_path / "x.tar").write_bytes(b"\x1f\x8b" + bytes(600))
    with pytest.raises(DataError, match="write it anew, uncompressed"):
        open_data(tmp_path / "x.tar")
