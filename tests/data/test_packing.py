"""From files to a pack: what is in it, what is said of each file, and what an interruption leaves."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import encoded, noise
from PIL import Image

import triptych.data.places as places
from triptych import durable
from triptych.data import open_data, pack, packed, spool
from triptych.data.packed import open_pack
from triptych.data.packing import PackReport
from triptych.data.worker import Reply
from triptych.errors import DataError, ResourceError

Photos = Callable[..., Path]


def silent(text: str) -> None:
    """Nobody listens."""


def test_a_pack_holds_the_pixels_labels_and_names(photos: Photos, tmp_path: Path) -> None:
    root = photos({"cat": 3, "dog": 2}, (13, 9, 3))
    report = pack(root, tmp_path / "p.pack", note=silent)
    source = open_pack(tmp_path / "p.pack").source
    assert report.image_shape == source.image_shape == (3, 13, 9)
    assert source.names == [f"cat/000{i}.png" for i in range(3)] + [f"dog/000{i}.png" for i in range(2)]
    assert source.class_names == report.class_names == ("cat", "dog")
    batch = source.read([4, 0])
    assert batch.given["labels"].tolist() == [1, 0]
    np.testing.assert_array_equal(batch.images[1].permute(1, 2, 0), noise(13, 9, 3, seed=0))
    np.testing.assert_array_equal(batch.images[0].permute(1, 2, 0), noise(13, 9, 3, seed=1001))
    assert report.converted == report.refused == ()
    assert report.sizes == (("13x9", 5),)
    assert not list(tmp_path.glob(".*"))


def test_each_file_has_its_line(tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    root.mkdir()
    files = {
        "a-colour.png": encoded(noise(8, 8, 3)),
        "b-grey.png": encoded(noise(8, 8)),
        "c-small.png": encoded(noise(4, 4, 3)),
        "d-deep.png": encoded(np.full((8, 8), 40_000, np.uint16)),
        "e-empty.png": b"",
        "f-page.png": b"<html>",
        "g-cut.jpg": encoded(noise(64, 64, 3), "JPEG")[:-500],
        "h-line\nbreak.png": b"text",
        "i-alpha.png": encoded(np.dstack([noise(8, 8, 3), np.full((8, 8), 9, np.uint8)])),
    }
    for name, data in files.items():
        (root / name).write_bytes(data)
    os.mkfifo(root / "pipe.png")
    report = pack(root, tmp_path / "p.pack", size=8, note=silent)
    assert report.image_shape == (4, 8, 8)
    assert report.converted == (
        ("b-grey.png", "grey to RGBA"),
        ("c-small.png", "upscaled from 4x4"),
        ("d-deep.png", "16-bit grey scaled to 8"),
        ("d-deep.png", "grey to RGBA"),
    )
    assert dict(report.refused).keys() == {
        "e-empty.png",
        "f-page.png",
        "g-cut.jpg",
        "h-line\\nbreak.png",
        "pipe.png",
    }
    assert dict(report.refused)["e-empty.png"] == "an empty file"
    assert report.sizes == (("8x8", 4), ("4x4", 1))
    channels = [image[3].unique().tolist() for image in open_pack(tmp_path / "p.pack").source.read(range(5)).images]
    assert channels == [[255], [255], [255], [255], [9]]


@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [([(8, 8), (8, 8)], 1), ([(8, 8), (8, 8, 3)], 3), ([(8, 8, 2), (8, 8)], 2), ([(8, 8, 2), (8, 8, 3)], 4)],
)
def test_channels_are_as_the_data_has_them(shapes: list[tuple[int, ...]], wanted: int, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    for index, shape in enumerate(shapes):
        (tmp_path / "set" / f"{index}.png").write_bytes(encoded(noise(*shape, seed=index)))
    assert pack(tmp_path / "set", tmp_path / "p.pack", note=silent).image_shape == (wanted, 8, 8)
    forced = pack(tmp_path / "set", tmp_path / "q.pack", channels=1, note=silent)
    assert forced.image_shape == (1, 8, 8)
    assert len(forced.converted) == sum(shape != (8, 8) for shape in shapes)


def test_default_sizes(photos: Photos, tmp_path: Path, heard: list[str]) -> None:
    assert pack(photos({"": 2}, (13, 37)), tmp_path / "a", note=heard.append).image_shape == (1, 13, 37)
    assert heard == []
    assert pack(photos({"": 2}, (20, 130), "wide"), tmp_path / "b", note=heard.append).image_shape == (
        1,
        64,
        64,
    )
    assert "large" in heard.pop()
    mixed = photos({"": 2}, (20, 20), "mixed")
    (mixed / "odd.png").write_bytes(encoded(noise(20, 21)))
    assert pack(mixed, tmp_path / "c", note=heard.append).image_shape == (1, 64, 64)
    assert "different sizes" in heard.pop()
    assert pack(mixed, tmp_path / "d", size=(9, 7), fit="pad", note=heard.append).image_shape == (1, 9, 7)
    assert heard == []


def test_turned_photographs_agree_in_size(tmp_path: Path, heard: list[str]) -> None:
    (tmp_path / "set").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "set" / "1.png").write_bytes(encoded(noise(8, 12)))
    (tmp_path / "set" / "2.png").write_bytes(encoded(noise(12, 8), exif=exif))
    report = pack(tmp_path / "set", tmp_path / "p.pack", note=heard.append)
    assert report.image_shape == (1, 8, 12)
    assert report.converted == (("2.png", "EXIF rotation applied"),)


def test_nothing_usable_lists_each_file(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.png").write_bytes(b"")
    (tmp_path / "set" / "b.txt").write_bytes(b"words")
    with pytest.raises(DataError, match=r"a\.png: an empty file; b\.txt: .*a text file") as caught:
        pack(tmp_path / "set", tmp_path / "p.pack", note=silent)
    assert caught.value.code == 3
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="it holds no files"):
        pack(tmp_path / "none", tmp_path / "p.pack", note=silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["none", "set"]


def test_what_is_there_stays(photos: Photos, tmp_path: Path) -> None:
    root, out = photos({"": 3}), tmp_path / "p.pack"
    first = pack(root, out, note=silent)
    stamp = (out / "images.npy").stat().st_mtime_ns
    again = pack(root, out, note=silent)
    assert again._replace(seconds=first.seconds) == first
    with pytest.raises(DataError, match="there already"):
        pack(root, out, size=4, note=silent)
    (root / "new.png").write_bytes(encoded(noise(8, 8, 3, seed=9)))
    with pytest.raises(DataError, match="there already"):
        pack(root, out, note=silent)
    assert (out / "images.npy").stat().st_mtime_ns == stamp
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="is no pack"):
        pack(root, tmp_path / "file", note=silent)
    assert (tmp_path / "file").read_text() == "mine"


def test_the_fingerprint_follows_pixels_labels_and_names(photos: Photos, tmp_path: Path) -> None:
    root = photos({"cat": 2, "dog": 2})

    def fingerprint(name: str) -> str:
        return pack(root, tmp_path / name, note=silent).fingerprint

    seen = [fingerprint("a"), fingerprint("b")]
    assert seen[0] == seen[1]
    os.rename(root / "cat" / "0001.png", root / "cat" / "0009.png")
    seen.append(fingerprint("c"))
    os.rename(root / "dog", root / "eel")
    seen.append(fingerprint("d"))
    pixels = noise(8, 8, 3, seed=0)
    pixels[3, 3, 1] ^= 1
    (root / "cat" / "0000.png").write_bytes(encoded(pixels))
    seen.append(fingerprint("e"))
    assert len(set(seen)) == 4


class Interrupted(KeyboardInterrupt):
    """Ctrl-C."""


def interrupt(root: Path, out: Path, heard: list[str]) -> None:
    def impatient(done: int, total: int) -> None:
        if done >= 256:
            raise Interrupted

    with pytest.raises(Interrupted):
        pack(root, out, note=heard.append, progress=impatient)


def test_an_interrupted_run_goes_on(
    photos: Photos, tmp_path: Path, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.data.packing._PER_WORKER", 10_000)
    root = photos({"cat": 200, "dog": 100}, (4, 4))
    for index in range(5):
        (root / f"cat/bad{index}.png").write_bytes(b"bad")
    whole = pack(root, tmp_path / "whole.pack", note=silent)
    out = tmp_path / "p.pack"
    interrupt(root, out, heard)
    assert not out.exists()
    (part,) = tmp_path.glob(".*.part")
    with open(part / "spool.jsonl", "ab") as journal, open(part / "spool.bin", "ab") as pixels:
        journal.write(b'["dog/0050.png", "", [4, 4')  # torn, as by a power cut
        pixels.write(b"half an image")
    seen: list[int] = []
    resumed = pack(root, out, note=heard.append, progress=lambda done, total: seen.append(done))
    assert any("Going on after 256 of 305" in text for text in heard)
    assert min(seen) > 256
    assert resumed._replace(path="", seconds=0) == whole._replace(path="", seconds=0)
    assert packed.verify(out) == 300
    assert not list(tmp_path.glob(".*"))


def test_an_interrupted_run_starts_anew_for_other_wishes(
    photos: Photos, tmp_path: Path, heard: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.data.packing._PER_WORKER", 10_000)
    root = photos({"": 300}, (4, 4))
    interrupt(root, tmp_path / "p.pack", heard)
    report = pack(root, tmp_path / "p.pack", size=5, note=heard.append)
    assert report.image_shape == (1, 5, 5)
    assert not any("Going on" in text for text in heard)


SCRIPT = """
import sys, time
from triptych.data import pack, packing
packing._PER_WORKER = 10_000
def report(done, total):
    print(done, flush=True)
    time.sleep(30)
pack(sys.argv[1], sys.argv[2], note=lambda text: None, progress=report)
"""


def stat(number: int) -> list[str]:
    """State, parent and more of a process; [] where it has ended."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def children_of(parent: int) -> list[int]:
    numbers = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [number for number in numbers if stat(number)[1:2] == [str(parent)]]


def lives(number: int) -> bool:
    return stat(number)[:1] not in ([], ["Z"])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_killed_run_leaves_no_pack_no_process_and_goes_on(photos: Photos, tmp_path: Path, heard: list[str]) -> None:
    root, out = photos({"cat": 300}, (4, 4)), tmp_path / "p.pack"
    command = [sys.executable, "-c", SCRIPT, str(root), str(out)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"256\n"
        children = children_of(run.pid)
        run.kill()
    assert len(children) == 1
    until = time.monotonic() + 10
    while any(lives(child) for child in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(lives(child) for child in children)
    assert not out.exists()
    assert pack(root, out, note=heard.append).images == 300
    assert any("Going on after 256" in text for text in heard)
    assert packed.verify(out) == 300


def test_a_journal_that_outruns_its_pixels_is_not_believed(tmp_path: Path) -> None:
    replies = [Reply(size=(2, 2), channels=1, pixels=bytes([index] * 4)) for index in range(3)]
    with spool.Spool(tmp_path, "key", (2, 2)) as first:
        first.add(["a", "b", "c"], replies)
    os.truncate(tmp_path / "spool.bin", 9)
    with spool.Spool(tmp_path, "key", (2, 2)) as second:
        assert [line.name for line in second.lines] == ["a", "b"]
        second.add(["c"], replies[2:])
        np.testing.assert_array_equal(np.concatenate(list(second.chunks(1)))[:, 0, 0, 0], [0, 1, 2])


def test_a_full_disk_leaves_nothing(photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = photos({"": 3})

    def full(folder: Path, contents: Any, chunks: Iterable[Any]) -> None:
        (folder / "images.npy").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(packed, "write", full)
    with pytest.raises(ResourceError, match="No space left") as caught:
        pack(root, tmp_path / "p.pack", note=silent)
    assert caught.value.code == 5
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_too_little_room_is_said_before_the_work(
    photos: Photos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(places.shutil, "disk_usage", lambda path: free)
    with pytest.raises(ResourceError, match=r"1\.00 kB free and needs 1\.15 kB"):
        pack(photos({"": 3}), tmp_path / "p.pack", note=silent)


def test_a_folder_that_cannot_be_written(photos: Photos, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="TRIPTYCH_DATA"):
        pack(photos({"": 1}), tmp_path / "file" / "p.pack", note=silent)


def test_two_runs_at_once_make_one_pack(photos: Photos, tmp_path: Path) -> None:
    root, reports, begun = photos({"": 40}), list[PackReport](), threading.Barrier(2)

    def run() -> None:
        begun.wait()
        reports.append(pack(root, tmp_path / "p.pack", note=silent))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 2
    assert reports[0].fingerprint == reports[1].fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.pack", "photos"]


def spoil_pixel(folder: Path) -> None:
    with open(folder / "images.npy", "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 4]))


def test_verify_names_the_damaged_image(photos: Photos, tmp_path: Path) -> None:
    pack(photos({"cat": 2, "dog": 2}), tmp_path / "p.pack", note=silent)
    assert packed.verify(tmp_path / "p.pack") == 4
    spoil_pixel(tmp_path / "p.pack")
    with pytest.raises(DataError, match=r"1 images have changed: dog/0001\.png"):
        packed.verify(tmp_path / "p.pack")


def flip(name: str, place: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[place] ^= 1
        (folder / name).write_bytes(data)

    return change


def edit(old: bytes, new: bytes, seal: bool = True) -> Callable[[Path], None]:
    """Change a pack's manifest, sealed anew as by another program unless its seal is the point."""

    def change(folder: Path) -> None:
        data = (folder / "pack.json").read_bytes()
        assert old in data
        data = data.replace(old, new)
        (folder / "pack.json").write_bytes(durable.sealed(json.loads(data)).encode() if seal else data)

    return change


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "labels": (flip("labels.npy", -1), r"labels\.npy .*content has changed"),
    "digests": (flip("digests.npy", -1), r"digests\.npy .*content has changed"),
    "names": (flip("names.json", 5), r"names\.json .*content has changed"),
    "head": (flip("images.npy", 20), r"images\.npy"),
    "truncated": (
        lambda folder: os.truncate(folder / "images.npy", 200),
        r"images\.npy .*200 bytes are there",
    ),
    "missing": (lambda folder: (folder / "names.json").unlink(), r"names\.json .*0 bytes are there"),
    "manifest cut": (
        lambda folder: os.truncate(folder / "pack.json", 50),
        r"pack\.json is missing or damaged",
    ),
    "manifest empty": (
        lambda folder: os.truncate(folder / "pack.json", 0),
        r"pack\.json is missing or damaged",
    ),
    "class name": (edit(b'"cat"', b'"rat"'), r"pack\.json .*does not belong"),
    "version": (edit(b'"version": 4', b'"version": 3'), "version 3"),
    "a note": (edit(b'"fit": "crop"', b'"fit": "crap"', seal=False), r"pack\.json .*content has changed"),
    "foreign": (edit(b"triptych-pack", b"another-pack"), "does not describe a pack"),
    "parts": (edit(b'"digests.npy"', b'"digests.np"'), "parts of it are missing"),
    "form": (edit(b'"files": {', b'"files": {"x": 3, '), r"pack\.json .*not of the right form"),
    "class names": (edit(b'"class_names": [', b'"class_names": 3, "x": ['), r"pack\.json .*not of the right form"),
    "classes": (edit(b'\n  "cat",', b""), r"pack\.json is missing or damaged|labels\.npy"),
    "count": (edit(b'"count": 4', b'"count": 5'), r"instead of uint8 \(5"),
}


def test_a_damaged_pack_is_refused_by_name(photos: Photos, tmp_path: Path) -> None:
    pack(photos({"cat": 2, "dog": 2}), tmp_path / "good.pack", note=silent)
    for kind, (damage, message) in DAMAGE.items():
        out = tmp_path / f"{kind}.pack"
        shutil.copytree(tmp_path / "good.pack", out)
        damage(out)
        with pytest.raises(DataError, match=message):
            open_data(out, note=silent)
    open_data(tmp_path / "good.pack", note=silent)


def test_each_bit_of_the_head_of_the_images_is_missed(photos: Photos, tmp_path: Path) -> None:
    """It is read as Python's literals, and a flipped bit is told by name, whatever that reading raises."""
    pack(photos({"cat": 2}), tmp_path / "p.pack", note=silent)
    path = tmp_path / "p.pack" / "images.npy"
    whole = path.read_bytes()
    for place in range(128):
        flipped = whole[place] ^ 1 << place % 8
        path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        with pytest.raises(DataError, match=r"images\.npy is missing or damaged"):
            open_data(tmp_path / "p.pack", note=silent)


def test_pickles_are_never_read(photos: Photos, tmp_path: Path) -> None:
    pack(photos({"cat": 2, "dog": 2}), tmp_path / "p.pack", note=silent)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    os.replace(tmp_path / "objects.npy", tmp_path / "p.pack" / "images.npy")
    size = (tmp_path / "p.pack" / "images.npy").stat().st_size
    edit(b'"bytes": 896', b'"bytes": %d' % size)(tmp_path / "p.pack")
    with pytest.raises(DataError, match=r"images\.npy"):
        open_data(tmp_path / "p.pack", note=silent)


def test_anything_that_opens_can_be_packed(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=noise(5, 8, 8, 3), labels=np.array([0, 1, 0, 1, 2]))
    report = pack(tmp_path / "set.npz", tmp_path / "a.pack", size=4, note=silent)
    assert report.image_shape == (3, 4, 4)
    assert report.class_names == ("0", "1", "2")
    again = pack(tmp_path / "a.pack", tmp_path / "b.pack", channels=1, note=silent)
    assert again.image_shape == (1, 4, 4)
    assert again.converted == (("5 images", "RGB to grey"),)
    digits = pack("digits", tmp_path / "d.pack", note=silent)
    assert (digits.images, digits.name, digits.image_shape) == (1797, "digits", (1, 8, 8))
    assert pack("digits", tmp_path / "d.pack", note=silent) == digits
    with pytest.raises(DataError, match="there already"):
        pack("digits", tmp_path / "d.pack", size=9, note=silent)
