"""The bytes of one image file to plain pixels, by one written rule for each kind of file.

| in the file | what becomes of it |
|---|---|
| EXIF orientation 1 to 8 | applied once, noted |
| several frames or pages | the first one, noted |
| palette, with or without transparency | RGB or RGBA, noted |
| 1 bit | grey, noted |
| 16-bit grey (12-bit TIFF) | the whole range scaled to 8 bits, never clipped, noted |
| 16-bit colour | its upper 8 bits, noted |
| 32-bit or signed integers, floats | refused: such a file does not say which value is white |
| CMYK, YCCK (Adobe's are stored inverted), YCbCr, Lab | RGB, noted |
| a colour profile that is not sRGB | converted to sRGB, noted; ignored and noted where it cannot be read |
| a PNG gamma chunk that is not 1/2.2 | ignored, noted |
| colour under an alpha of zero | zero, since it cannot be seen |
| alpha that is opaque everywhere | dropped, since it says nothing |
| metadata (camera, place, names) | dropped |
| truncated, damaged, too large, anything but six formats | refused |

Arrays are (H, W, C) uint8 with straight alpha: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageCms, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
MOST_BYTES = 256 * 2**20
MOST_PIXELS = 64_000_000
MOST_PAGES = 1000  # of a TIFF that are counted
MOST_SCANNED = 16 * MOST_PIXELS  # pixels of all passes of a progressive JPEG together
Pixels = NDArray[np.uint8]

_DEFLATED = 1032  # times that deflate can shrink anything
_ORIENTATION, _WIDTH, _HEIGHT, _PHOTOMETRIC = 274, 256, 257, 262  # tags of TIFF and EXIF
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PLAIN = {  # mode -> (mode, note)
    "1": ("L", "1-bit to grey"),
    "PA": ("RGBA", "palette to RGBA"),
    "CMYK": ("RGB", "CMYK to RGB"),
    "YCbCr": ("RGB", "YCbCr to RGB"),
    "RGBX": ("RGB", ""),
    "RGBa": ("RGBA", ""),
    "La": ("LA", ""),
}
_BITS = {"1": 255, "L;2": 85, "L;4": 17}  # what a transparent grey level of so few bits is multiplied by
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript file"),
    (b"8BPS", "a Photoshop file"),
    (b"PK\x03\x04", "a zip archive, and archives inside are not opened"),
    (b"\x89PNG", "a PNG with a damaged head"),
    (b"\xff\xd8\xff", "a JPEG with a damaged head"),
    (b"GIF8", "a GIF with a damaged head"),
    (b"RIFF", "a WebP with a damaged head, or a sound or a film"),
    (b"II*\0", "a TIFF of a kind that is not read"),
    (b"MM\0*", "a TIFF of a kind that is not read"),
)


class Refused(Exception):  # noqa: N818 - it is an answer, not an error
    """A file that is not used; the text is the reason."""


class Decoded(NamedTuple):
    """One image as it is seen."""

    pixels: Pixels  # (H, W, C)
    size: tuple[int, int]  # (height, width) of the file, upright
    notes: tuple[str, ...]  # what was converted on the way


def decode(data: bytes, at_least: int = 0) -> Decoded:
    """Decode all of an image file, or raise `Refused`.

    With `at_least`, a large JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as both
    sides keep so many pixels. Warnings of the decoder count as damage.
    """
    with warnings.catch_warnings():
        _strict()
        try:
            image = _opened(data)
            return _decoded(image, at_least)
        except Refused:
            raise
        except Exception as error:  # hostile bytes can make a decoder raise anything
            raise Refused(f"damaged ({_reason(error)})") from error


def measure(data: bytes) -> tuple[int, int]:
    """(height, width) of an image file, upright, without decoding it where its format allows."""
    with warnings.catch_warnings():
        _strict()
        try:
            image = _opened(data)
            size = _upright_size(image, _orientation(image))
        except Refused:
            raise
        except Exception as error:  # as above
            raise Refused(f"damaged ({_reason(error)})") from error
    return size


def _strict() -> None:
    warnings.simplefilter("error", UserWarning)
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _opened(data: bytes) -> Image.Image:
    """The image with its head read and its size found bearable; no pixel is decoded yet."""
    if not data:
        raise Refused("an empty file")
    if len(data) > MOST_BYTES:
        raise Refused(f"{len(data):,} bytes, more than the {MOST_BYTES:,} that are read")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise Refused(f"not a PNG, JPEG, WebP, BMP, TIFF or GIF image, but {_what_else(data)}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused(f"more than the {MOST_PIXELS:,} pixels that are decoded") from None
    if image.width * image.height > MOST_PIXELS:
        raise Refused(f"{image.width}x{image.height} pixels, more than the {MOST_PIXELS:,} that are decoded")
    if image.format == "PNG" and image.height * (1 + image.width // 8) > _DEFLATED * len(data):
        raise Refused(f"damaged ({image.width}x{image.height} pixels are claimed, and are not in {len(data):,} bytes)")
    scans = data.count(b"\xff\xda") if image.format in ("JPEG", "MPO") else 1
    if scans * image.width * image.height > MOST_SCANNED:
        raise Refused(f"{image.width}x{image.height} pixels drawn in {scans:,} passes, more than are followed")
    return image


def _what_else(data: bytes) -> str:
    """A guess at what a file is that is no image."""
    head = data[:1024]
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            return name
    if head[128:132] == b"DICM":
        return "a DICOM file"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text.startswith((b"<svg", b"<?xml")):
        return "an SVG drawing or another XML file"
    plain = bytes(range(32, 127)) + b"\t\r\n"
    return "a text file" if not head.translate(None, plain) else "something else"


def _frames(image: Image.Image) -> int:
    """How many frames or pages there are; pages of a TIFF, which are a chain of links, are followed to the 1,000th."""
    if image.format != "TIFF":
        return int(getattr(image, "n_frames", 1))
    count = 1
    while count < MOST_PAGES:
        try:
            image.seek(count)
        except EOFError:
            break
        count += 1
    image.seek(0)
    return count


def _decoded(image: Image.Image, at_least: int) -> Decoded:
    notes: list[str] = []
    raw = _raw_mode(image)
    turn = _orientation(image)
    size = _upright_size(image, turn)
    if at_least and raw and image.format in ("JPEG", "MPO"):
        image.draft(image.mode, (at_least, at_least))
    frames = _frames(image)
    image.load()
    if frames > 1:
        notes.append(f"first of {frames:,} frames{' or more' * (frames == MOST_PAGES)}")
    left = _orientation(image)  # the TIFF reader turns the image by itself
    upright = _plain(image, raw, notes)
    if left in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[left])
    if turn in _UPRIGHT or left in _UPRIGHT:
        notes.append("EXIF rotation applied")
    pixels = np.array(upright, dtype=np.uint8)
    return Decoded(_visible(pixels.reshape(*pixels.shape[:2], -1)), size, tuple(notes))


def _raw_mode(image: Image.Image) -> str:
    """How the samples lie in the file, in Pillow's words; "" where it does not say."""
    tiles: list[Any] = getattr(image, "tile", [])
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(_ORIENTATION, 1))


def _upright_size(image: Image.Image, turn: int) -> tuple[int, int]:
    tags = getattr(image, "tag_v2", None)  # some versions of the TIFF reader have turned the size already
    width, height = image.size if tags is None else (tags[_WIDTH], tags[_HEIGHT])
    return (width, height) if turn in (5, 6, 7, 8) else (height, width)


def _plain(image: Image.Image, raw: str, notes: list[str]) -> Image.Image:
    """The image in one of the modes L, LA, RGB, RGBA."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        return _from_16_bits(image, raw, notes)
    if image.mode in ("I", "F"):
        raise Refused("32-bit or signed values, which do not say what is white: save it with 8 or 16 bits")
    if ";16" in raw:
        notes.append("16 bits a channel read as 8")
    image = _unpacked(image, raw, notes)
    gamma = image.info.get("gamma", 1 / 2.2) if image.format == "PNG" else 1 / 2.2
    if "icc_profile" in image.info:
        image = _to_srgb(image, image.info["icc_profile"], notes)
    elif abs(gamma - 1 / 2.2) > 0.01:
        notes.append(f"gamma chunk {gamma:.3g} ignored")
    if image.mode == "LAB":
        notes.append("Lab to RGB")
        return _moved(image, ImageCms.createProfile("LAB"))
    if image.mode in _PLAIN:
        mode, note = _PLAIN[image.mode]
        notes.extend([note] if note else [])
        image = image.convert(mode)
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise Refused(f"pixels of mode {image.mode}, for which there is no rule")
    return image


def _unpacked(image: Image.Image, raw: str, notes: list[str]) -> Image.Image:
    """Palettes and transparent levels written out as channels; inks and 16-bit grey set right."""
    key = image.info.get("transparency")
    if image.mode == "P":
        mode = "RGB" if key is None else "RGBA"
        notes.append(f"palette to {mode}")
        return image.convert(mode)
    if image.mode == "RGB" and isinstance(key, tuple):
        notes.append("transparent colour to alpha")
        if ";16" in raw:
            image.info["transparency"] = tuple(level >> 8 for level in key)
        return image.convert("RGBA")
    if image.mode in ("1", "L") and isinstance(key, int):
        notes.append("transparent grey to alpha")
        grey = np.array(image.convert("L"))
        return _with_alpha(grey, grey != key * _BITS.get(raw, 1))
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        return ImageChops.invert(image)  # Pillow takes every CMYK JPEG for one of Adobe's
    return image.convert("LA") if raw.startswith("LA;16") else image  # Pillow widens these to RGBA


def _from_16_bits(image: Image.Image, raw: str, notes: list[str]) -> Image.Image:
    bits = 12 if raw == "I;12" else 16
    top = 2**bits - 1
    values = np.asarray(image).astype(np.uint32).clip(0, top)
    notes.append(f"{bits}-bit grey scaled to 8")
    if values.max() * 16 < top:
        notes.append(f"nearly black, since its brightest value is {values.max()} of {top}")
    white_is_zero = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
    grey = (((top - values if white_is_zero else values) * 255 + top // 2) // top).astype(np.uint8)
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return Image.fromarray(grey)
    notes.append("transparent grey to alpha")
    return _with_alpha(grey, values != key)


def _with_alpha(grey: Pixels, seen: NDArray[np.bool_]) -> Image.Image:
    return Image.fromarray(np.dstack([grey, np.where(seen, 255, 0).astype(np.uint8)]))


def _to_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Colours moved from the file's profile to sRGB, where it is another and can be read."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        name = ImageCms.getProfileDescription(source).strip()
        if "sRGB" in name:
            return image
        moved = _moved(image, source)
    except (ImportError, OSError, ValueError, ImageCms.PyCMSError):
        notes.append("colour profile ignored: it cannot be read or does not fit the image")
        return image
    notes.append(f"colour profile {name!r} to sRGB")
    return moved


def _moved(image: Image.Image, source: Any) -> Image.Image:
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    moved = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    if moved is None:
        raise ValueError("no image came back")
    return moved.getchannel(0) if image.mode == "L" else moved


def _visible(pixels: Pixels) -> Pixels:
    """No colour where alpha is zero, and no alpha where it is opaque everywhere."""
    if pixels.shape[2] in (1, 3):
        return pixels
    alpha = pixels[:, :, -1]
    if alpha.min() == 255:
        return np.ascontiguousarray(pixels[:, :, :-1])
    pixels[alpha == 0] = 0
    return pixels
