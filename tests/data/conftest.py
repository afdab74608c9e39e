"""Image files of every kind, made on the spot; and no test of data may touch the network or the home folder."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from triptych.data import fetch


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(url: str, start: int) -> Any:
        raise OSError("the network is closed")

    monkeypatch.setenv("TRIPTYCH_DATA", str(tmp_path / "data-folder"))
    monkeypatch.setattr(fetch, "request", closed)


def encoded(image: Any, form: str = "PNG", **options: Any) -> bytes:
    """An array or Pillow image as the bytes of a file."""
    buffer = BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def raw_png(width: int, height: int, bits: int, colour: int, rows: bytes, **chunks: bytes) -> bytes:
    """A PNG written by hand: `rows` are the packed samples, without filter bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    step = len(rows) // height
    lines = b"".join(b"\0" + rows[start : start + step] for start in range(0, len(rows), step))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    extra = b"".join(chunk(kind.encode(), body) for kind, body in chunks.items())
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """A folder of so many PNGs of noise in each named class ("" is the root)."""

    def make(classes: dict[str, int], shape: tuple[int, ...] = (8, 8, 3), name: str = "photos") -> Path:
        root = tmp_path / name
        for number, (label, count) in enumerate(classes.items()):
            (root / label).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                (root / label / f"{index:04d}.png").write_bytes(encoded(noise(*shape, seed=1000 * number + index)))
        return root

    return make


@pytest.fixture
def heard() -> list[str]:
    """What was noted: give `heard.append` as the note."""
    return []
