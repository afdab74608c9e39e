"""Tar archives that attack: refused, or skipped and counted; nothing is written, followed or read at once."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from hostile.images import PIXEL
from hostile.measured import bearable, measured, refused
from triptych.data.decode import Refused, decode
from triptych.data.tars import Tars
from triptych.data.zipped import MOST_MEMBERS

BLOCK = 512


def header(name: str = "bad.png", size: int = len(PIXEL), kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def archive(folder: Path, *parts: bytes, end: bytes = bytes(2 * BLOCK)) -> Path:
    """One good image, then these blocks."""
    (folder / "x.tar").write_bytes(header("good.png") + padded(PIXEL) + b"".join(parts) + end)
    return folder / "x.tar"


def summed(block: bytes, at: int, data: bytes) -> bytes:
    """A header whose field at a place is something else, with the sum that belongs to it."""
    changed = bytearray(block)
    changed[at : at + len(data)] = data
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed)
    return bytes(changed)


def walked(path: Path) -> list[str]:
    """The reasons for all that is not used."""
    files = Tars([path], "x")
    reasons = [reason for _, reason in files.skipped]
    for entry in files.entries:
        try:
            decode(files.read(entry))
        except Refused as reason:
            reasons.append(str(reason))
    return reasons


SKIPPED = {
    "up": ([header("../up.png"), padded(PIXEL)], "leads out"),
    "deep up": ([header("a/../../up.png"), padded(PIXEL)], "leads out"),
    "root": ([header("/etc/x.png"), padded(PIXEL)], "leads out"),
    "drive": ([header("C:/x.png"), padded(PIXEL)], "leads out"),
    "backslash": ([header("a\\..\\x.png"), padded(PIXEL)], "leads out"),
    "symbolic link": ([header("x.png", 0, tarfile.SYMTYPE, "/etc/passwd")], "a link"),
    "hard link": ([header("x.png", 0, tarfile.LNKTYPE, "good.png")], "a link"),
    "pipe": ([header("x.png", 0, tarfile.FIFOTYPE)], "pipe"),
    "device": ([header("x.png", 0, tarfile.CHRTYPE)], "device"),
    "twice": ([header("good.png"), padded(PIXEL)], "second file"),
    "long": ([header("n" * 60_000 + ".png"), padded(PIXEL)], "60,004 characters"),
    "sparse": ([summed(header("x.png", 0, tarfile.GNUTYPE_SPARSE), 483, b"77777777777\0")], "sparse"),
    "no image": ([header(size=5), padded(b"hello")], "not a PNG"),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_skipped_members(name: str, tmp_path: Path) -> None:
    parts, reason = SKIPPED[name]
    path = archive(tmp_path, *parts)
    bearable(measured(lambda: walked(path)))
    (said,) = walked(path)
    assert reason in said
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.tar"]


REFUSED = {
    "a name of 1 GB": [header("././@LongLink", 2**30, tarfile.GNUTYPE_LONGNAME)],
    "an extended header of 1 GB": [header("p", 2**30, tarfile.XHDTYPE)],
    "names of names": [header("././@LongLink", 5, tarfile.GNUTYPE_LONGNAME) + padded(b"a.png")] * 5000,
    "a file of 1 TB": [header(size=2**40)],
    "a file that is cut off": [header(size=10_000)],
    "a size below zero": [summed(header(), 124, b"\xff" * 12)],
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_archives(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path, *REFUSED[name])
    for length in (path.stat().st_size, 2**31):  # with a hole behind it, so that what is claimed is there
        with path.open("r+b") as file:
            file.truncate(length)
        outcome = measured(lambda: walked(path))
        assert outcome.error in ("", "DataError"), outcome  # to end the list there is as good
        bearable(outcome)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = archive(tmp_path, header(size=2**29))
    with path.open("r+b") as file:
        file.truncate(2**30)
    assert walked(path) == ["536,870,912 bytes, more than the 268,435,456 that are read"]


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"\x1f\x8b" + bytes(1000), b"PK" + bytes(1000), b"a" * 5000):
        (tmp_path / "x.tar").write_bytes(data)
        refused(lambda: walked(tmp_path / "x.tar"), "DataError", "is not a tar archive")


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.data.tars.MOST_MEMBERS", 3)
    assert MOST_MEMBERS > 3
    path = archive(tmp_path, *[header(f"{n}.png") + padded(PIXEL) for n in range(3)])
    refused(lambda: walked(path), "DataError", "lists more than 3 files")


def test_a_class_is_a_name_and_no_way_out(tmp_path: Path) -> None:
    labels = [b"../../up", b"/etc", b".", b"", b"\x1b[2J", b"n" * 10_000, b"\xff\xfe"]
    members = io.BytesIO()
    with tarfile.open(fileobj=members, mode="w") as tar:
        for number, label in enumerate(labels):
            for name, data in ((f"{number}.cls", label), (f"{number}.png", PIXEL)):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    (tmp_path / "x.tar").write_bytes(members.getvalue())
    files = Tars([tmp_path / "x.tar"], "x")
    assert len(files.entries) == len(labels)
    assert all(".." not in entry.name.split("/") and entry.name.count("/") <= 1 for entry in files.entries)
    assert all(len(entry.name) < 300 for entry in files.entries)
