"""Each kind of image file follows its one rule, and hostile files are refused by name of their fault."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from image_files import encoded, noise, raw_png
from PIL import Image, ImageChops, ImageCms

from triptych.data.decode import MOST_PIXELS, Refused, decode, measure

GREY, COLOUR = noise(20, 40), noise(20, 40, 3)


def noted(data: bytes, word: str) -> Any:
    """The pixels, after one of the notes was found to hold the word."""
    decoded = decode(data)
    assert any(word in note for note in decoded.notes), decoded.notes
    return decoded.pixels


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_lossless_formats_keep_every_pixel(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    decoded = decode(encoded(GREY, form, **options))
    assert decoded.pixels.dtype == np.uint8
    assert decoded.size == (20, 40)
    np.testing.assert_array_equal(decoded.pixels[..., 0], GREY)
    if form != "GIF":
        np.testing.assert_array_equal(decode(encoded(COLOUR, form, **options)).pixels, COLOUR)
        assert decode(encoded(COLOUR, form, **options)).notes == ()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (13, 37, 3), (7, 5)])
def test_odd_sizes(shape: tuple[int, ...]) -> None:
    image = noise(*shape)
    np.testing.assert_array_equal(decode(encoded(image)).pixels.reshape(shape), image)


def test_jpeg_is_close_and_its_channels_are_its_own() -> None:
    smooth = np.linspace(0, 255, 20 * 40).reshape(20, 40).astype(np.uint8)
    grey, colour = (
        decode(encoded(smooth, "JPEG", quality=95)),
        decode(encoded(np.dstack([smooth] * 3), "JPEG")),
    )
    assert grey.pixels.shape == (20, 40, 1)
    assert colour.pixels.shape == (20, 40, 3)
    assert abs(grey.pixels[..., 0].astype(int) - smooth).max() < 6


def test_one_bit() -> None:
    bits = GREY > 127
    pixels = noted(encoded(Image.fromarray(bits)), "1-bit")
    np.testing.assert_array_equal(pixels[..., 0], bits * 255)


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    levels = np.linspace(0, 65535, 20 * 40).reshape(20, 40).astype(np.uint16)
    wanted = np.rint(levels / 257).astype(np.uint8)
    assert len(np.unique(wanted)) == 256
    for data in (encoded(levels), encoded(levels, "TIFF"), raw_tiff(levels, ">")):
        np.testing.assert_array_equal(noted(data, "16-bit grey scaled")[..., 0], wanted)


def test_dark_sixteen_bit_grey_is_noted() -> None:
    pixels = noted(encoded(np.full((4, 4), 3000, np.uint16)), "nearly black")
    assert set(pixels.flatten()) == {round(3000 / 257)}


def test_white_is_zero_in_some_tiffs() -> None:
    levels = np.array([[0, 65535]], np.uint16)
    np.testing.assert_array_equal(decode(raw_tiff(levels, "<", photometric=0)).pixels[..., 0], [[255, 0]])


def test_sixteen_bit_colour_keeps_its_upper_half() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (3, 5, 3), dtype=np.uint16)
    data = raw_png(5, 3, 16, 2, deep.astype(">u2").tobytes())
    np.testing.assert_array_equal(noted(data, "16 bits a channel"), deep >> 8)


def test_sixteen_bit_grey_with_alpha_has_two_channels() -> None:
    deep = np.random.default_rng(0).integers(256, 65536, (3, 5, 2), dtype=np.uint16)
    data = raw_png(5, 3, 16, 4, deep.astype(">u2").tobytes())
    np.testing.assert_array_equal(noted(data, "16 bits a channel"), deep >> 8)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_without_a_white_are_refused(dtype: Any) -> None:
    with pytest.raises(Refused, match="do not say what is white"):
        decode(encoded(np.arange(12, dtype=dtype).reshape(3, 4), "TIFF"))


def test_alpha_stays_and_colour_under_nothing_goes() -> None:
    image = noise(6, 6, 4)
    image[..., 3] = 128
    image[:2, :, 3] = 0
    pixels = decode(encoded(image)).pixels
    assert pixels.shape == (6, 6, 4)
    assert not pixels[:2].any()
    np.testing.assert_array_equal(pixels[2:], image[2:])


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1)])
def test_opaque_alpha_is_no_channel(mode: str, channels: int) -> None:
    image = Image.fromarray(COLOUR).convert(mode)
    decoded = decode(encoded(image))
    assert decoded.pixels.shape == (20, 40, channels)
    assert decoded.notes == ()


def test_grey_with_alpha() -> None:
    image = np.dstack([GREY, np.full_like(GREY, 7)])
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(image))).pixels, image)


def palette(**options: Any) -> bytes:
    image = Image.new("P", (3, 1))
    for place in range(3):
        image.putpixel((place, 0), place)
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return encoded(image, **options)


def test_palette() -> None:
    np.testing.assert_array_equal(noted(palette(), "palette to RGB")[0], [[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    pixels = noted(palette(transparency=b"\x80\x00\xff"), "palette to RGBA")
    np.testing.assert_array_equal(pixels[0], [[255, 0, 0, 128], [0, 0, 0, 0], [0, 0, 255, 255]])


def test_transparent_levels() -> None:
    grey = raw_png(4, 1, 2, 0, bytes([0b00011011]), tRNS=struct.pack(">H", 2))  # levels 0 1 2 3, of which 2 is clear
    np.testing.assert_array_equal(noted(grey, "transparent grey")[0], [[0, 255], [85, 255], [0, 0], [255, 255]])
    colour = raw_png(2, 1, 8, 2, bytes([1, 2, 3, 4, 5, 6]), tRNS=struct.pack(">HHH", 4, 5, 6))
    np.testing.assert_array_equal(noted(colour, "transparent colour")[0], [[1, 2, 3, 255], [0, 0, 0, 0]])
    deep = raw_png(2, 1, 16, 0, struct.pack(">HH", 65535, 257), tRNS=struct.pack(">H", 257))
    np.testing.assert_array_equal(noted(deep, "transparent grey")[0], [[255, 255], [0, 0]])
    wide = raw_png(
        2, 1, 16, 2, struct.pack(">6H", *[0x0A00] * 3, *[0xFF00] * 3), tRNS=struct.pack(">HHH", *[0x0A00] * 3)
    )
    np.testing.assert_array_equal(noted(wide, "transparent colour")[0], [[0, 0, 0, 0], [255, 255, 255, 255]])


def inks(cyan: int, magenta: int, yellow: int, black: int) -> Image.Image:
    return Image.merge("CMYK", [Image.new("L", (16, 16), ink) for ink in (cyan, magenta, yellow, black)])


def test_cmyk_in_its_three_ways_of_storing() -> None:
    red = [255, 0, 0]
    adobe = encoded(inks(0, 255, 255, 0), "JPEG", quality=95)
    np.testing.assert_allclose(noted(adobe, "CMYK to RGB")[8, 8], red, atol=4)
    at = adobe.index(b"\xff\xee")
    plain = encoded(ImageChops.invert(inks(0, 255, 255, 0)), "JPEG", quality=95)
    plain = plain[:at] + plain[at + 2 + int.from_bytes(plain[at + 2 : at + 4], "big") :]
    assert b"Adobe" not in plain
    np.testing.assert_allclose(noted(plain, "CMYK to RGB")[8, 8], red, atol=4)
    luma, blue, red_shift = Image.new("RGB", (1, 1), (0, 255, 255)).convert("YCbCr").getpixel((0, 0))  # of the inks
    ycck = bytearray(encoded(ImageChops.invert(inks(luma, blue, red_shift, 255)), "JPEG", quality=95))
    ycck[ycck.index(b"Adobe") + 11] = 2
    np.testing.assert_allclose(noted(bytes(ycck), "CMYK to RGB")[8, 8], red, atol=6)


def test_lab() -> None:
    lab = Image.merge("LAB", [Image.new("L", (4, 4), level) for level in (255, 128, 128)])
    np.testing.assert_allclose(noted(encoded(lab, "TIFF"), "Lab to RGB")[0, 0], [255, 255, 255], atol=2)


def test_colour_profiles() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    assert decode(encoded(red, icc_profile=srgb)).notes == ()
    swapped = srgb.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be")).replace(b"sRGB", b"odd!")
    pixels = noted(encoded(red, icc_profile=swapped), "'odd! built-in' to sRGB")
    np.testing.assert_allclose(pixels[0, 0], [0, 255, 0], atol=3)
    np.testing.assert_array_equal(noted(encoded(red, icc_profile=b"nonsense"), "profile ignored"), red)
    np.testing.assert_array_equal(noted(encoded(GREY, icc_profile=swapped), "profile ignored")[..., 0], GREY)


def test_gamma_is_ignored_and_noted_where_it_says_something() -> None:
    usual = raw_png(2, 1, 8, 0, b"\x10\x20", gAMA=struct.pack(">I", 45455))
    assert decode(usual).notes == ()
    linear = raw_png(2, 1, 8, 0, b"\x10\x20", gAMA=struct.pack(">I", 100000))
    np.testing.assert_array_equal(noted(linear, "gamma chunk 1 ignored")[0, :, 0], [16, 32])


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("orientation", TURNS)
def test_orientation_is_applied_once(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.kron(np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3), np.ones((8, 8), np.uint8))
    data = encoded(stored, form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    decoded, wanted = decode(data), TURNS[orientation](stored)
    assert decoded.size == measure(data) == wanted.shape
    np.testing.assert_allclose(decoded.pixels[..., 0].astype(int), wanted.astype(int), atol=8 if form == "JPEG" else 0)
    assert ("EXIF rotation applied" in decoded.notes) == (orientation != 1)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_of_many_frames(form: str) -> None:
    frames = [Image.fromarray(np.full((8, 8), 20 * index, np.uint8)) for index in range(12)]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(frames[1], form, save_all=True, append_images=frames[2:], **options)
    assert (noted(data, "first of 11 frames") == 20).all()


def test_photographs_with_a_second_picture_inside() -> None:
    first, second = (Image.fromarray(np.full((16, 16, 3), level, np.uint8)) for level in (60, 200))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert abs(noted(data, "first of 2 frames").astype(int) - 60).max() < 3


def test_large_jpegs_may_be_decoded_smaller_but_say_their_size() -> None:
    data = encoded(np.full((800, 1200, 3), 90, np.uint8), "JPEG")
    decoded = decode(data, at_least=128)
    assert decoded.size == (800, 1200)
    assert 128 <= decoded.pixels.shape[0] < 400
    assert decode(data).pixels.shape == (800, 1200, 3)


HOSTILE = {
    "an empty file": b"",
    "a text file": b"hello, I am no image\r\n",
    "an HTML page": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "an SVG drawing": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a PDF document": b"%PDF-1.7\n",
    "a PostScript file": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "a zip archive": b"PK\x03\x04rest",
    "a DICOM file": bytes(128) + b"DICM" + bytes(100),
    "a PNG with a damaged head": b"\x89PNG\r\n\x1a\n",
    "a JPEG with a damaged head": b"\xff\xd8\xff\xe0",
    "something else": bytes(range(256)),
}


@pytest.mark.parametrize("reason", HOSTILE)
def test_what_is_no_image_is_refused_with_a_guess(reason: str) -> None:
    for reader in (decode, measure):
        with pytest.raises(Refused, match=reason):
            reader(HOSTILE[reason])


def test_formats_outside_the_list_are_refused() -> None:
    for form in ("PPM", "ICO", "JPEG2000", "TGA"):
        with pytest.raises(Refused, match="not a PNG"):
            decode(encoded(COLOUR, form))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_truncated_files_are_refused(form: str, part: float) -> None:
    data = encoded(noise(64, 64), form)
    with pytest.raises(Refused):
        decode(data[: int(part * len(data))])


def test_flipped_bits_in_a_png_never_change_pixels_in_silence() -> None:
    data, chances = encoded(COLOUR), np.random.default_rng(0)
    for place in chances.integers(8, len(data), 100):
        broken = bytearray(data)
        broken[place] ^= 1 << int(chances.integers(8))
        try:
            decoded = decode(bytes(broken))
        except Refused:
            continue
        np.testing.assert_array_equal(decoded.pixels, COLOUR)


def test_bombs_are_refused_by_their_head() -> None:
    row = bytes(9000 // 8)
    bomb = raw_png(9000, 9000, 1, 0, row * 9000)  # Pillow alone would decode it without a warning
    assert len(bomb) < 20_000
    assert MOST_PIXELS < 9000 * 9000
    larger = bomb.replace(struct.pack(">II", 9000, 9000), struct.pack(">II", 2**31 - 1, 2**31 - 1))
    larger = larger[:29] + struct.pack(">I", zlib.crc32(larger[12:29])) + larger[33:]
    for data in (bomb, raw_png(20_000, 20_000, 1, 0, bytes(20_000)), larger):
        with pytest.raises(Refused, match="64,000,000"):
            decode(data)
    text = raw_png(2, 1, 8, 0, b"\0\0", zTXt=b"a\0\0" + zlib.compress(bytes(2**23)))
    with pytest.raises(Refused, match="damaged"):
        decode(text)


def test_reasons_are_the_same_every_time() -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            decode(b"BM" + bytes(100))
        reasons.add(str(caught.value))
    assert len(reasons) == 1
    assert "0x" not in reasons.pop()


def raw_tiff(levels: Any, order: str, photometric: int = 1) -> bytes:
    """An uncompressed 16-bit grey TIFF in either byte order."""
    height, width = levels.shape
    pixels = levels.astype(f"{order}u2").tobytes()
    tags = [
        (256, width),
        (257, height),
        (258, 16),
        (259, 1),
        (262, photometric),
        (273, 8),
        (277, 1),
        (278, height),
    ]
    tags.append((279, len(pixels)))
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(pixels))
    return head + pixels + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
