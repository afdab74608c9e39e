"""Zip archives and folders that attack: each a function that writes into a folder, and returns what to open."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

from hostile.images import PIXEL
from special_files import put_into

Make = Callable[[Path], Path]


def members(*names: str, data: bytes = PIXEL, mode: int = 0) -> Make:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file.writestr("good.png", PIXEL)
            for name in names:
                info = zipfile.ZipInfo(name)
                info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
                file.writestr(info, data)
        return folder / "x.zip"

    return make


def written(data: bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / "x.zip").write_bytes(data)
        return folder / "x.zip"

    return make


def changed(old: bytes, new: bytes, at: int = -1) -> Make:
    """The archive of one image after all of `old`, or with `at` the bytes behind the first, became `new`."""

    def make(folder: Path) -> Path:
        path = members("a.png")(folder)
        data = path.read_bytes()
        place = data.index(old) + at
        path.write_bytes(data.replace(old, new) if at < 0 else data[:place] + new + data[place + len(new) :])
        return path

    return make


def end_of(entries: int, size: int, start: int) -> bytes:
    """The end of an archive, which says where its list is."""
    return b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, entries, entries, size, start, 0)


def listing(entries: int) -> bytes:
    """An archive that is nothing but a list of empty names."""
    list_ = (b"PK\x01\x02" + bytes(42)) * entries
    return list_ + end_of(entries & 0xFFFF, len(list_), 0)


def zip64(entries: int, size: int) -> bytes:
    """The end of a large archive, which claims so much of its list."""
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, entries, entries, size, 0)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, 0, 1)
    return record + locator + end_of(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)


def overlapping(folder: Path) -> Path:
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.png", os.urandom(100_000))
        for index in range(50):
            twin = zipfile.ZipInfo(f"{index}.png")
            for field in ("header_offset", "compress_size", "file_size", "CRC"):
                setattr(twin, field, getattr(file.filelist[0], field))
            file.filelist.append(twin)
    return path


def bomb(folder: Path) -> Path:
    """Many members under the size that is looked at one by one, and far over it together."""
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        data = bytes(2**20)
        for index in range(120):
            file.writestr(f"{index}.png", data)
    return path


def nested(folder: Path) -> Path:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as file:
        file.writestr("a.png", PIXEL)
    return members("inner.zip", data=inner.getvalue())(folder)


def linked(folder: Path) -> Path:
    """Links in a circle and out of the folder, pipes, sockets, folders named as images, beside one image."""
    root = folder / "root"
    (root / "x.png").mkdir(parents=True)
    (root / "good.png").write_bytes(PIXEL)
    (root / "self.png").symlink_to(root / "self.png")
    put_into(root)
    return root


TRICKY_NAMES = (
    b"new\nline.png", b"\xff\xfe.png", "\u202egnp.exe".encode(), b"n" * 251 + b".png", b"-rf.png", b"=cmd|'x'!A1.png",
    b"+1.png", b"@x.png", b"\x1b]0;gone\x07\x1b[2J.png", b"<script>alert(1)</script>".replace(b"/", b"") + b".png",
    "\x9b2J.png".encode(), b"CON.png", b"{{7*7}}.png", b"[bold]x.png",
)  # fmt: skip


def tricky(folder: Path) -> Path:
    """Good images of bad names, and one that is refused under each."""
    root = folder / "root"
    for kind, data in ((b"good", PIXEL), (b"bad", b"no image")):
        place = os.path.join(os.fsencode(root), kind)
        os.makedirs(place)
        for name in TRICKY_NAMES:
            with open(os.path.join(place, name), "wb") as file:
                file.write(data)
    return root


LIST = b"PK\x01\x02"
# name -> (what it does, how it is made, a part of the sentence)
REFUSED: dict[str, tuple[str, Make, str]] = {
    "bomb": ("120 MB of zeros in 600 kB", bomb, "zip bomb"),
    "overlap": ("50 members that are one", overlapping, "zip bomb"),
    "cut": ("half of an archive", lambda folder: cut(folder), "not a zip archive"),
    "nothing": ("no bytes", written(b""), "not a zip archive"),
    "entries": ("lists 2,000,001 files", written(listing(2_000_001)), "lists more than 2,000,000 files"),
    "list": ("claims a list longer than itself", written(end_of(1, 2**31, 0)), "not a zip archive"),
    "zip64 list": ("claims a list of 2^62 bytes", written(zip64(1, 2**62)), "not a zip archive"),
    "zip64 entries": ("claims 2^62 members", written(zip64(2**62, 46)), "not a zip archive"),
    "zip64 size": ("a member that claims 2^60 bytes", changed(LIST, struct.pack("<II", 2**32 - 1, 2**32 - 1), 20), ""),
    "ratio": ("a member that claims 4 GB", changed(LIST, struct.pack("<I", 2**32 - 2), 24), "zip bomb"),
    "name": ("a name that is not in its own code", changed(b"a.png", b"\xff.png"), ""),
}
# name -> (what it does, how it is made, the reason that the one bad member is skipped or refused for)
SKIPPED: dict[str, tuple[str, Make, str]] = {
    "up": ("leads out of the archive", members("../up.png"), "leads out"),
    "deep up": ("leads out by and by", members("a/../../up.png"), "leads out"),
    "root": ("begins at the root", members("/etc/x.png"), "leads out"),
    "drive": ("names a drive", members("C:/x.png"), "leads out"),
    "backslash": ("leads out in the way of Windows", members("a\\..\\up.png"), "leads out"),
    "network": ("names another machine", members("\\\\host\\share\\x.png"), "leads out"),
    "link": ("a symbolic link", members("link.png", data=b"/etc/passwd", mode=stat.S_IFLNK | 0o777), "symbolic link"),
    "device": ("a device", members("tty.png", mode=stat.S_IFCHR | 0o666), "device"),
    "setuid fifo": ("a pipe", members("pipe.png", mode=stat.S_IFIFO | 0o4666), "pipe"),
    "twice": ("a second file of a name", members("good.png"), "second file"),
    "long": ("a name of 60,000 letters", members("n" * 60_000 + ".png"), "60,004 characters"),
    "one bomb": ("4 MB of zeros in 4 kB", members("zeros.png", data=bytes(2**22)), "zip bomb"),
    "encrypted": ("needs a password", changed(LIST, b"\x09", 8), "encrypted"),
    "method": ("compressed by a method of its own", changed(LIST, b"\x63", 10), "method 99"),
    "nested": ("an archive in the archive", nested, "zip archive"),
    "escape": ("clears the screen by its name", members("\x1b[2J.png", data=b"no image"), "text file"),
}


def cut(folder: Path) -> Path:
    path = members("a.png")(folder)
    path.write_bytes(path.read_bytes()[:-30])
    return path
