"""Image files that attack, made on the spot: bombs, lies, foreign formats; each a few kilobytes at most."""

from __future__ import annotations

import io
import struct
import zlib

from image_files import encoded, noise, raw_png
from PIL import Image

PIXEL = encoded(noise(8, 8))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(side: int) -> bytes:
    """One bit a pixel, all black: 9,924 bytes for 9000 pixels a side, which are 243 MB as RGB."""
    return raw_png(side, side, 1, 0, bytes(-(-side // 8)) * side)


def png_that_claims(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def png_with_text(count: int, size: int) -> bytes:
    """So many compressed texts, each so large when unpacked."""
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(size)))
    return PIXEL[:33] + text * count + PIXEL[33:]


def png_with_profile(size: int) -> bytes:
    return PIXEL[:33] + chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(size))) + PIXEL[33:]


def gif_of(frames: int, side: int = 1) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    return head + (b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00") * frames + b";"


def apng_that_claims(frames: int) -> bytes:
    return PIXEL[:33] + chunk(b"acTL", struct.pack(">II", frames, 0)) + PIXEL[33:]


def tiff(tags: dict[int, int], following: int = 0, rest: bytes = bytes(512)) -> bytes:
    """A small grey TIFF with some tags of its own, all of them of 32 bits; the pixels begin at 400."""
    usual = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 400, 277: 1, 278: 8, 279: 64}
    entries = sorted((usual | tags).items())
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", following)
    return head.ljust(400, b"\0") + rest


def tiff_of_pages(count: int) -> bytes:
    """So many pages, a link each, that are all the same pixel."""
    usual = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 4, 277: 1, 278: 1, 279: 1}
    body = struct.pack("<H", len(usual)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in usual.items())
    size = len(body) + 4
    links = (8 + size * page if page < count else 0 for page in range(1, count + 1))
    return b"II*\0" + struct.pack("<I", 8) + b"".join(body + struct.pack("<I", link) for link in links)


def webp_that_claims(side: int) -> bytes:
    bits = 0x2F | (side - 1) << 8 | (side - 1) << 22
    body = bits.to_bytes(5, "little") + bytes(8)
    return b"RIFF" + struct.pack("<I", 12 + len(body) + 1) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body + b"\0"


def bmp_that_claims(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + info + bytes(46)


def jpeg_in_passes(passes: int, side: int = 4000) -> bytes:
    """A progressive JPEG whose last pass, of a hundred bytes, is drawn over and over again."""
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * passes + data[-2:]


def foreign(form: str) -> bytes:
    """A picture in a format whose decoder is off."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, form)
    return file.getvalue()


FITS = b"SIMPLE  =                    T".ljust(80) + b"BITPIX  =                    8".ljust(80) + b"END".ljust(2720)
PSD = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 30000, 30000, 8, 3) + bytes(14)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n/x {x} def x\n"
SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
PDF = b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj"

# name -> (what it does, the bytes, a part of the reason that it is refused for)
REFUSED: dict[str, tuple[str, bytes, str]] = {
    "bomb": ("9,924 bytes that are 81 million pixels", png_of(9000), "9000x9000 pixels"),
    "larger bomb": ("claims 400 million pixels", png_that_claims(20_000, 20_000), "pixels that are decoded"),
    "largest bomb": ("claims 2^62 pixels", png_that_claims(2**31 - 1, 2**31 - 1), "pixels that are decoded"),
    "no width": ("claims no pixels at all", png_that_claims(0, 8), ""),
    "thin": ("claims more rows than it has", png_that_claims(1, 60_000_000), "are not in"),
    "text bomb": ("8 kB of text that are 8 MB", png_with_text(1, 2**23), "MAX_TEXT_CHUNK"),
    "many texts": ("100 texts that are 100 MB together", png_with_text(100, 2**20 - 2), "MAX_TEXT_MEMORY"),
    "profile bomb": ("a colour profile that is 16 MB", png_with_profile(2**24), ""),
    "passes": ("JPEG, drawn over 1,000 times", jpeg_in_passes(1000), "passes, more than are followed"),
    "wide gif": ("a screen of 4 thousand million pixels", gif_of(1, 65535), "pixels that are decoded"),
    "tile": ("TIFF with a tile of 4 GiB", tiff({259: 8, 322: 2**16, 323: 2**16, 324: 400, 325: 100}), "damaged"),
    "tiles": ("TIFF that claims 2^32 rows", tiff({257: 2**32 - 1}), "pixels that are decoded"),
    "strip": ("TIFF whose strip lies behind its end", tiff({273: 2**31}), "damaged"),
    "samples": ("TIFF of 65,535 channels", tiff({277: 65535}), ""),
    "webp": ("36 bytes that claim 268 million pixels", webp_that_claims(16383), ""),
    "bmp": ("run-length BMP that claims 2^60 pixels", bmp_that_claims(2**30, 2**30), ""),
    "bmp upside down": ("BMP of minus 2^31 rows", bmp_that_claims(8, -(2**31)), ""),
    "jpeg2000": ("a format whose decoder is off", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "not a PNG"),
    "eps": ("a program for a printer", EPS, "PostScript"),
    "psd": ("a format whose decoder is off", PSD, "Photoshop"),
    "fits": ("a format whose decoder is off", FITS, "not a PNG"),
    "pdf": ("a document with a script", PDF, "PDF"),
    "svg": ("a drawing with a script", SVG, "SVG"),
    "icns": ("a format whose decoder is off", b"icns" + struct.pack(">I", 100) + bytes(92), "not a PNG"),
    "ico": ("a format whose decoder is off", foreign("ICO"), "not a PNG"),
    "ppm": ("a format whose decoder is off", b"P6\n99999 99999\n255\n", "not a PNG"),
    "tga": ("a format whose decoder is off", foreign("TGA"), "not a PNG"),
    "zip": ("an archive inside", b"PK\x03\x04" + bytes(26), "zip archive"),
    "html": ("a page", b"<!DOCTYPE html><script>alert(1)</script>", "HTML"),
    "pickle": ("a pickle that would call a shell", b"cposix\nsystem\n(S'true'\ntR.", "text file"),
    "nothing": ("no bytes", b"", "an empty file"),
    "head": ("the magic of a PNG and no more", b"\x89PNG\r\n\x1a\n", "damaged head"),
    "cut": ("a PNG cut in the middle", PIXEL[: len(PIXEL) // 2], "damaged"),
}
# what is documented to be used, and still must stay small and quick: name -> (what it does, the bytes, a note)
USED: dict[str, tuple[str, bytes, str]] = {
    "frames": ("GIF of 20,000 frames", gif_of(20_000), "first of 20,000 frames"),
    "pages": ("TIFF of 20,000 pages", tiff_of_pages(20_000), "first of 1,000 frames or more"),
    "claimed frames": ("PNG that claims 2^31 frames", apng_that_claims(2**31 - 1), "first of"),
    "loop": ("TIFF whose second page is its first", tiff({}, following=8), ""),
    "black": ("the largest side that is decoded", png_of(4000), "1-bit to grey"),
}
