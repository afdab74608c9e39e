"""Listing folders and zips: only regular files, in one order, nothing outside, nothing extracted."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import encoded, noise

from special_files import put_into
from triptych.data import decode, zipped
from triptych.data.decode import Refused
from triptych.data.folder import Entry, Folder
from triptych.data.zipped import Zip
from triptych.errors import DataError

PNG = encoded(noise(8, 8))


def names(files: Folder | Zip) -> list[str]:
    return [entry.name for entry in files.entries]


def test_only_regular_files_are_listed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "x.png").mkdir(parents=True)  # a folder that is named like an image
    (root / "x.png" / "in.png").write_bytes(PNG)
    (root / "a.png").write_bytes(PNG)
    os.link(root / "a.png", root / "hard.png")
    (root / "link.png").symlink_to(root / "a.png")
    put_into(root)
    files = Folder(root)
    assert names(files) == ["a.png", "hard.png", "x.png/in.png"]
    reasons = dict(files.skipped)
    assert {reasons[name] for name in ("loop", "link.png", "out.png")} == {"a symbolic link"}
    assert {reasons[name] for name in ("pipe.png", "s.png")} == {"a pipe, socket or device"}


def test_hidden_files_and_leftovers_are_passed_over(tmp_path: Path) -> None:
    for name in (".DS_Store", "._a.png", "Thumbs.db", "desktop.ini", "__MACOSX/a.png", ".git/a.png", "a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    files = Folder(tmp_path)
    assert names(files) == ["a.png"]
    assert files.skipped == []


WEIRD = [
    b"-rf.png", b"a b.png", b"line\nbreak.png", b"CON.png", b"\xff\xfe.png", b"caf\xc3\xa9.png",
    b"cafe\xcc\x81.png", "\u202egnp.exe".encode(), "\U0001f600.png".encode(), b"n" * 251 + b".png",
    b"%s{}.png", b"~.png", b"'\".png",
]  # fmt: skip


def test_weird_names_are_read_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    for name in WEIRD:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(PNG)
    files = Folder(tmp_path)
    assert [os.fsencode(name) for name in names(files)] == sorted(WEIRD)
    assert all(files.read(entry) == PNG for entry in files.entries)


def test_a_thousand_levels(tmp_path: Path) -> None:
    levels = [str(tmp_path) + "/d" * depth for depth in range(1, 1001)]
    for level in levels:
        os.mkdir(level)
    Path(levels[-1], "a.png").write_bytes(PNG)
    files = Folder(tmp_path)
    assert names(files) == ["d/" * 1000 + "a.png"]
    assert files.read(files.entries[0]) == PNG
    os.unlink(levels[-1] + "/a.png")
    for level in reversed(levels):
        os.rmdir(level)


def test_files_that_change_after_the_listing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("grown.png", "gone.png", "swapped.png", "same.png", "large.png"):
        (tmp_path / name).write_bytes(PNG)
    files = Folder(tmp_path)
    entries = {entry.name: entry for entry in files.entries}
    (tmp_path / "grown.png").write_bytes(PNG + b"more")
    (tmp_path / "gone.png").unlink()
    (tmp_path / "swapped.png").unlink()
    (tmp_path / "swapped.png").symlink_to("/etc/passwd")
    os.utime(tmp_path / "same.png", ns=(1, 1))
    for name, reason in (
        ("grown", "changed"),
        ("gone", "No such file"),
        ("swapped", "cannot be read"),
        ("same", "changed"),
    ):
        with pytest.raises(Refused, match=reason):
            files.read(entries[f"{name}.png"])
    with pytest.raises(Refused, match="more than"):
        files.read(Entry("large.png", decode.MOST_BYTES + 1, 0))


def test_a_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be listed"):
        Folder(tmp_path / "missing")


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, data in members.items():
            writer.writestr(name, data)
    return path


def test_members_that_lead_out_are_skipped_and_nothing_is_written(tmp_path: Path) -> None:
    evil = [
        "../up.png",
        "a/../../up.png",
        "/abs.png",
        "C:/drive.png",
        "C:drive.png",
        "back\\slash.png",
        "a//b.png",
    ]
    files = Zip(archive(tmp_path / "evil.zip", {**dict.fromkeys(evil, PNG), "./a/./good.png": PNG, ".hidden.png": PNG}))
    assert names(files) == ["a/good.png"]
    assert sorted(name for name, _ in files.skipped) == sorted(evil)
    assert files.read(files.entries[0]) == PNG
    assert list(tmp_path.rglob("*.png")) == list(tmp_path.parent.glob("*.png")) == []


def test_links_duplicates_and_foreign_compression(tmp_path: Path) -> None:
    path = tmp_path / "odd.zip"
    with zipfile.ZipFile(path, "w") as writer:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        writer.writestr(link, "/etc/passwd")
        writer.writestr("twice.png", PNG)
        with pytest.warns(UserWarning, match="Duplicate"):
            writer.writestr("twice.png", b"other")
        writer.writestr("Twice.png", PNG)
        writer.writestr("bz.png", PNG, zipfile.ZIP_BZIP2)
        writer.writestr("n" * 2000 + ".png", PNG)
        writer.writestr("class/", b"")
    files = Zip(path)
    assert names(files) == ["Twice.png", "twice.png"]
    assert files.read(files.entries[1]) == PNG
    assert files.folders == ["class"]
    reasons = {name[:9]: reason for name, reason in files.skipped}
    assert reasons["link.png"] == "a symbolic link"
    assert reasons["twice.png"] == "a second file of this name"
    assert "method 12" in reasons["bz.png"]
    assert "2,004 characters" in reasons["n" * 9]


def test_encrypted_members(tmp_path: Path) -> None:
    path = archive(tmp_path / "secret.zip", {"a.png": PNG, "b.png": PNG})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    files = Zip(path)
    assert files.skipped == [("a.png", "encrypted")]
    assert names(files) == ["b.png"]


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = archive(tmp_path / "one.zip", {"bomb.png": bytes(4_000_000), "a.png": PNG})
    files = Zip(one)
    assert names(files) == ["a.png"]
    assert "zip bomb" in files.skipped[0][1]
    monkeypatch.setattr(zipped, "MOST_RATIO", 10)
    many = archive(tmp_path / "many.zip", {f"{index}.png": bytes(900_000) for index in range(15)})
    with pytest.raises(DataError, match="zip bomb"):
        Zip(many)
    path = tmp_path / "overlap.zip"
    with zipfile.ZipFile(path, "w") as writer:
        writer.writestr("a.png", noise(300, 300).tobytes())
        for index in range(50):
            twin = zipfile.ZipInfo(f"{index}.png")
            for field in ("header_offset", "compress_size", "file_size", "CRC"):
                setattr(twin, field, getattr(writer.filelist[0], field))
            writer.filelist.append(twin)
    with pytest.raises(DataError, match="zip bomb"):
        Zip(path)


def test_lying_and_damaged_members_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "liar.zip", {"a.png": PNG, "b.png": PNG})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24  # the size that the directory claims
    data[at : at + 4] = (len(PNG) - 5).to_bytes(4, "little")
    data[60] ^= 0xFF
    path.write_bytes(data)
    files = Zip(path)
    with pytest.raises(Refused, match="damaged in the archive"):
        files.read(files.entries[0])
    assert files.read(files.entries[1]) == PNG


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no zip"])
def test_what_is_no_zip(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": PNG})
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"a\.zip is not a zip"):
        Zip(path)


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipped, "MOST_MEMBERS", 2)
    with pytest.raises(DataError, match="3 files"):
        Zip(archive(tmp_path / "a.zip", {f"{index}.png": PNG for index in range(3)}))
