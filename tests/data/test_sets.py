"""Data sets by name: official formats in small, downloads that break, and the way out without a network."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import noise

from triptych.data import NAMED, data_folder, fetch, open_data, sets
from triptych.data.fetch import Remote, SameSite
from triptych.data.sets import Official
from triptych.errors import DataError, UsageError


def silent(text: str) -> None:
    """Nobody listens."""


def test_digits_are_the_real_ones() -> None:
    splits = open_data("digits", note=silent)
    assert splits.name == "digits"
    assert len(splits.everything) == 1797
    assert splits.train.image_shape == (1, 8, 8)
    assert splits.train.class_names == tuple("0123456789")
    batch = splits.everything.read(range(1797))
    assert (int(batch.images.min()), int(batch.images.max())) == (0, 255)
    assert batch.given["labels"].bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert batch.images[0, 0, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # 0 0 5 13 9 1 0 0 of 16
    assert len(splits.train) + len(splits.validation) == 1797
    assert 120 < len(splits.validation) < 240


def cifar(path: Path, spoil: Callable[[dict[str, bytes]], None] = lambda parts: None) -> tuple[Any, Any]:
    """A small archive in the official format, and what is in it."""
    labels, images = np.arange(12, dtype=np.uint8) % 10, noise(12, 3072)
    records = np.concatenate([labels[:, None], images], axis=1)
    parts = {f"data_batch_{n + 1}.bin": records[2 * n : 2 * n + 2].tobytes() for n in range(5)}
    parts["test_batch.bin"] = records[10:].tobytes()
    spoil(parts)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in {"readme.html": b"hi", "../../evil.bin": b"x", **parts}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return images.reshape(-1, 3, 32, 32), labels


def idx(path: Path, values: Any) -> None:
    head = b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(head + values.tobytes()))


def published(path: Path) -> Remote:
    data = path.read_bytes()
    return Remote(f"https://example.org/files/{path.name}", len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def small_cifar(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """`cifar10` in small: its file lies in the data folder already, with the hash that is asked for."""
    folder = data_folder() / "cifar10"
    folder.mkdir(parents=True)
    content = cifar(folder / "cifar-10-binary.tar.gz")
    known = NAMED["cifar10"]
    assert known is not None
    remotes = (published(folder / "cifar-10-binary.tar.gz"),)
    monkeypatch.setitem(NAMED, "cifar10", known._replace(remotes=remotes))
    return content


def test_a_file_that_was_put_there_by_hand_is_used(small_cifar: tuple[Any, Any]) -> None:
    images, labels = small_cifar
    splits = open_data("cifar10", note=silent)
    assert splits.train.image_shape == (3, 32, 32)
    assert splits.train.class_names[:3] == ("airplane", "automobile", "bird")
    train, validation = splits.train.read(range(10)), splits.validation.read(range(2))
    np.testing.assert_array_equal(train.images, images[:10])
    np.testing.assert_array_equal(validation.images, images[10:])
    assert train.given["labels"].tolist() == labels[:10].tolist()
    assert list(splits.everything.names)[9:11] == ["train/00009", "test/00000"]


def test_the_second_time_only_the_pack_is_read(small_cifar: tuple[Any, Any]) -> None:
    first = open_data("cifar10", note=silent)
    (data_folder() / "cifar10" / "cifar-10-binary.tar.gz").unlink()
    assert open_data("cifar10", note=silent).everything.fingerprint == first.everything.fingerprint


def test_no_member_of_the_archive_is_extracted(small_cifar: tuple[Any, Any]) -> None:
    open_data("cifar10", note=silent)
    found = [path.name for path in data_folder().parent.rglob("*") if path.suffix in (".bin", ".html")]
    assert found == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: parts.pop("data_batch_3.bin"),
        lambda parts: parts.update({"test_batch.bin": bytes(3072)}),
        lambda parts: parts.update({"test_batch.bin": bytes([10]) * 3073}),
    ],
    ids=["missing", "cut", "label"],
)
def test_an_archive_that_is_not_what_it_should_be(spoil: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data_folder() / "cifar10"
    folder.mkdir(parents=True)
    cifar(folder / "cifar-10-binary.tar.gz", spoil)
    official = Official((published(folder / "cifar-10-binary.tar.gz"),), sets.read_cifar, tuple("0123456789"))
    monkeypatch.setitem(NAMED, "cifar10", official)
    with pytest.raises(DataError, match="cifar10"):
        open_data("cifar10", note=silent)
    assert sorted(path.name for path in folder.iterdir()) == ["cifar-10-binary.tar.gz"]


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known, folder, parts = NAMED[name], data_folder() / name, [noise(7, 28, 28), np.arange(7, dtype=np.uint8)]
    assert known is not None
    parts += [noise(3, 28, 28, seed=1), np.array([9, 8, 7], np.uint8)]
    folder.mkdir(parents=True)
    for remote, values in zip(known.remotes, parts, strict=True):
        idx(folder / remote.name, values)
    remotes = tuple(published(folder / remote.name) for remote in known.remotes)
    monkeypatch.setitem(NAMED, name, known._replace(remotes=remotes))
    splits = open_data(name, note=silent)
    assert (len(splits.train), len(splits.validation), len(splits.train.class_names)) == (7, 3, 10)
    np.testing.assert_array_equal(splits.validation.read(range(3)).images[:, 0], parts[2])
    assert splits.validation.read(range(3)).given["labels"].tolist() == [9, 8, 7]


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\x0d\x01" + bytes(8),
        b"\0\0\x08\x01\0\0\0\x05abc",
        b"\0\0\x08\x03\0\0",
        b"",
        b"\0\0\x08\x01\xff\xff\xff\xff",
    ],
)
def test_damaged_idx_files(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(data))
    with pytest.raises((ValueError, struct.error)):
        sets._idx(tmp_path / "a.gz")


@pytest.mark.parametrize("name", ["cifar10", "mnist", "fashion-mnist"])
def test_without_a_network_the_way_out_is_named(name: str) -> None:
    official = NAMED[name]
    assert official is not None
    remote = official.remotes[0]
    with pytest.raises(DataError) as caught:
        open_data(name, note=silent)
    for fact in (
        remote.name,
        remote.url,
        remote.sha256,
        f"{remote.size:,}",
        str(data_folder() / name),
        "network is closed",
    ):
        assert fact in str(caught.value)
    assert caught.value.code == 3


def test_every_official_file_is_pinned() -> None:
    remotes = [remote for official in NAMED.values() if official for remote in official.remotes]
    assert len(remotes) == 9
    assert all(remote.url.startswith("https://") and len(remote.sha256) == 64 for remote in remotes)
    assert len({remote.sha256 for remote in remotes}) == 9


def test_a_file_that_is_not_the_official_one_is_refused(small_cifar: tuple[Any, Any]) -> None:
    path = data_folder() / "cifar10" / "cifar-10-binary.tar.gz"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz is not the official file .*delete it"):
        open_data("cifar10", note=silent)


class Server:
    """Serves one file, some bytes at a time, and can break off or ignore ranges."""

    def __init__(self, data: bytes, breaks_after: int = 10**9, ranges: bool = True) -> None:
        self.data, self.breaks_after, self.ranges, self.starts = data, breaks_after, ranges, list[int]()

    def request(self, url: str, start: int) -> Any:
        self.starts.append(start)
        begin = start if self.ranges else 0
        body = io.BytesIO(self.data[begin : begin + self.breaks_after])
        body.status = 206 if begin else 200  # type: ignore[attr-defined]
        return body


def quiet(done: int, total: int) -> None:
    """Nobody watches."""


def test_a_broken_download_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise(5000).tobytes()
    remote = Remote("https://example.org/a.bin", len(data), hashlib.sha256(data).hexdigest())
    server = Server(data, breaks_after=2000)
    monkeypatch.setattr(fetch, "request", server.request)
    for have in (2000, 4000):
        with pytest.raises(DataError, match=f"ended after {have:,} of 5,000"):
            fetch.fetch(remote, tmp_path, quiet)
    seen: list[tuple[int, int]] = []
    assert fetch.fetch(remote, tmp_path, lambda *pair: seen.append(pair)).read_bytes() == data
    assert server.starts == [0, 2000, 4000]
    assert seen == [(5000, 5000)]
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    monkeypatch.setattr(fetch, "request", None)
    assert fetch.fetch(remote, tmp_path, quiet).read_bytes() == data


def test_a_server_without_ranges_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise(5000).tobytes()
    remote = Remote("https://example.org/a.bin", len(data), hashlib.sha256(data).hexdigest())
    (tmp_path / "a.bin.part").write_bytes(data[:3000])
    monkeypatch.setattr(fetch, "request", Server(data, ranges=False).request)
    assert fetch.fetch(remote, tmp_path, quiet).read_bytes() == data


@pytest.mark.parametrize("extra", [b"", b"and more"])
def test_a_file_with_another_hash_is_thrown_away(extra: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise(500).tobytes()
    remote = Remote("https://example.org/a.bin", len(data), hashlib.sha256(b"another").hexdigest())
    monkeypatch.setattr(fetch, "request", Server(data + extra).request)
    with pytest.raises(DataError, match="not what was published"):
        fetch.fetch(remote, tmp_path, quiet)
    assert list(tmp_path.iterdir()) == []


def test_offline_by_wish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_OFFLINE", "1")
    monkeypatch.setattr(fetch, "request", Server(b"data").request)
    with pytest.raises(DataError, match="TRIPTYCH_OFFLINE is set"):
        fetch.fetch(Remote("https://example.org/a.bin", 4, "0" * 64), tmp_path, quiet)


def test_only_https_and_only_one_site() -> None:
    handler, here = SameSite(), urllib.request.Request("https://www.example.org/a")

    def follow(url: str) -> Any:
        return handler.redirect_request(here, io.BytesIO(), 302, "", {}, url)

    assert follow("https://files.example.org/a").full_url == "https://files.example.org/a"
    for url in (
        "http://www.example.org/a",
        "https://example.com/a",
        "https://badexample.org/a",
        "file:///etc/passwd",
    ):
        with pytest.raises(urllib.error.URLError):
            follow(url)


def test_only_https_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(OSError, match="is not https"):
        fetch.request("http://example.org/a", 0)


@pytest.mark.parametrize(
    ("name", "hint"), [("digts", "'digits'"), ("CIFAR10", "'cifar10'"), ("fashionmnist", "'fashion-mnist'")]
)
def test_unknown_names(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean {hint}") as caught:
        open_data(name, note=silent)
    assert caught.value.code == 2
