"""Images of every wrong kind: each is refused with what to do, and what is merely odd is read."""

from __future__ import annotations

import io
import struct
import threading
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from headstart_server.data.images.decode import FORMATS, BadImageError, ImageLimits, decode, inspect
from headstart_server.data.images.pillow_warnings import silenced
from PIL import Image, ImageOps

from tests.support.images import encoded, picture

LIMITS = ImageLimits()


def refusal(data: bytes, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(BadImageError) as caught:
        decode(data, limits)
    return str(caught.value)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def gif_header(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0)


def png_bomb(side: int) -> bytes:
    """Zeros that expand a thousand times, line by line as PNG has them."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 + 3 * side)) for _ in range(side)) + packer.flush()
    return png_header(side, side) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


ANIMATED = {"save_all": True, "append_images": [picture(40, 30, 1), picture(40, 30, 2)]}
WHOLE = {
    **{name: encoded(picture(40, 30), name) for name in FORMATS},
    "animated GIF": encoded(picture(40, 30), "GIF", **ANIMATED),
    "animated WebP": encoded(picture(40, 30), "WEBP", **ANIMATED),
    "progressive JPEG": encoded(picture(40, 30), "JPEG", progressive=True),
}
OTHER_FILES = {
    "empty": (b"", "the file is empty; replace it"),
    "text": (b"just some words\n", "it is a text file, not an image; it begins with 'just some words"),
    "HTML": (b"<!DOCTYPE html><html><body>404</body></html>", "it is markup (HTML or SVG)"),
    "HTML behind a mark": (b"\xef\xbb\xbf<html>", "it is markup (HTML or SVG)"),
    "SVG": (b'\n <svg xmlns="http://www.w3.org/2000/svg"/>', "it is markup (HTML or SVG)"),
    "TIFF": (encoded(picture(8, 8), "TIFF"), "it is a TIFF file, which is not read; save it as"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is an HEIC, AVIF or video file"),
    "AVIF": (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "it is an HEIC, AVIF or video file"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "it is a PDF file"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is an EPS file"),
    "PSD": (b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\5\0\0\0\5\0\x08\0\3" + bytes(12), "it is a Photoshop file"),
    "ICNS": (encoded(picture(16, 16), "ICNS"), "it is an ICNS file"),
    "ICO": (encoded(picture(16, 16), "ICO"), "it is an ICO file"),
    "JPEG 2000": (encoded(picture(16, 16), "JPEG2000"), "it is a JPEG 2000 file"),
    "PPM": (encoded(picture(2, 2), "PPM"), "its content is no image that is known here"),
    "zip": (b"PK\3\4" + bytes(30), "it is an archive, not an image; unpack it first"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
    "half a signature": (b"\x89PN", "it is cut off"),
    "noise": (bytes(range(128, 200)), "its content is no image that is known here"),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_what_is_no_image_is_named(kind: str) -> None:
    data, message = OTHER_FILES[kind]
    assert message in refusal(data)
    with pytest.raises(BadImageError):
        inspect(data, LIMITS)


@pytest.mark.parametrize("kind", WHOLE)
def test_an_image_cut_anywhere_is_refused_or_decodes_to_the_same_pixels(kind: str) -> None:
    whole = WHOLE[kind]
    pixels = np.asarray(decode(whole, LIMITS))
    bad = 0
    for cut in range(0, len(whole), 1 + len(whole) // 400):
        try:
            assert np.array_equal(np.asarray(decode(whole[:cut], LIMITS)), pixels), cut
        except BadImageError as error:
            bad += 1
            assert str(error).endswith(("replace the file", "replace it")) or "save" in str(error), error
    assert bad


@pytest.mark.parametrize("kind", WHOLE)
def test_flipped_bytes_raise_nothing_else(kind: str) -> None:
    generator = np.random.default_rng(7)
    for _ in range(150):
        data = bytearray(WHOLE[kind])
        for place in generator.integers(0, len(data) if generator.random() < 0.5 else 64, 4):
            data[place] = generator.integers(256)
        try:
            decode(bytes(data), LIMITS, 24)
        except BadImageError as error:
            assert str(error)


@pytest.mark.parametrize("header", [png_header(30_000, 30_000), gif_header(60_000, 60_000)], ids=["PNG", "GIF"])
def test_a_header_of_a_billion_pixels_is_refused_by_the_setting(header: bytes) -> None:
    data = (
        header + b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x08\0" if header[:3] == b"GIF" else header
    )
    data += chunk(b"IDAT", b"")
    assert "64000000 pixels (the server's max_image_pixels); scale it down" in refusal(data)


def test_a_frame_that_outgrows_its_gif_is_measured() -> None:
    data = gif_header(1, 1) + b"," + struct.pack("<HHHHB", 0, 0, 9_000, 9_000, 0) + b"\x08\0;"
    assert "9000 x 9000 is more than 64000000 pixels" in refusal(data)


def test_a_png_that_expands_a_thousand_times_takes_the_memory_of_its_pixels_only() -> None:
    bomb = png_bomb(3_000)
    assert len(bomb) < 40_000
    assert decode(bomb, LIMITS).size == (3_000, 3_000)
    assert "3000 x 3000 is more than 1000000 pixels" in refusal(bomb, ImageLimits(max_pixels=1_000_000))


def test_texts_within_a_png_that_expand_are_not_kept() -> None:
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80 << 20), 9))
    data = WHOLE["PNG"][:33] + text + WHOLE["PNG"][33:]
    tracemalloc.start()
    try:
        refusal(data)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_every_limit_is_named_with_its_setting() -> None:
    data = encoded(picture(60, 2))
    small = ImageLimits(max_bytes=10, max_pixels=100, max_ratio=20)
    assert f"has {len(data)} bytes, at most 10 are allowed (the server's max_image_bytes)" in refusal(data, small)
    assert "60 x 2 is more than 100 pixels (the server's max_image_pixels)" in refusal(
        data, ImageLimits(max_pixels=100)
    )
    assert "more than 20 times the shorter (the server's max_image_ratio)" in refusal(data, ImageLimits(max_ratio=20))
    assert decode(data, ImageLimits(max_ratio=30)).size == (60, 2)


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1)])
def test_the_smallest_and_the_narrowest_are_read(size: tuple[int, int]) -> None:
    for name in FORMATS:
        assert decode(encoded(picture(*size), name), LIMITS, 224).size == size


def test_the_content_says_what_a_file_is() -> None:
    assert inspect(WHOLE["PNG"], LIMITS).format == "PNG"
    assert [inspect(WHOLE[name], LIMITS).format for name in FORMATS] == list(FORMATS)


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
def test_jpegs_of_one_three_and_four_channels_are_read(mode: str) -> None:
    data = encoded(picture(40, 30, mode=mode), "JPEG", quality=95)
    found = decode(data, LIMITS)
    assert found.mode == ("L" if mode == "L" else "RGB")
    expected = np.asarray(picture(40, 30).convert(found.mode).resize((8, 6)), np.int16)
    assert np.abs(np.asarray(found.resize((8, 6)), np.int16) - expected).mean() < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_pngs_of_every_mode_are_read_as_pillow_converts_them(mode: str) -> None:
    image = picture(40, 30, mode=mode)
    found = decode(encoded(image), LIMITS)
    assert found.mode in ("L", "RGB")
    assert np.array_equal(np.asarray(found.convert("RGB")), np.asarray(image.convert("RGB")))


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    image = picture(40, 30).quantize(64)
    data = encoded(image, transparency=bytes(range(64)))
    assert np.array_equal(np.asarray(decode(data, LIMITS)), np.asarray(image.convert("RGB")))


def test_wide_grey_keeps_its_upper_bits() -> None:
    values = np.random.default_rng(0).integers(0, 65_536, (30, 40)).astype(np.uint16)
    assert np.array_equal(np.asarray(decode(encoded(Image.fromarray(values)), LIMITS)), values >> 8)


def test_wide_colour_keeps_its_upper_bits() -> None:
    values = np.random.default_rng(0).integers(0, 65_536, (3, 4, 3)).astype(">u2")
    lines = b"".join(b"\0" + line.tobytes() for line in values)
    header = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, 16, 2, 0, 0, 0))
    data = header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    assert np.array_equal(np.asarray(decode(data, LIMITS)), values.astype(np.uint16) >> 8)


@pytest.mark.parametrize("kind", ["animated GIF", "animated WebP"])
def test_the_first_frame_stands_for_all(kind: str) -> None:
    with Image.open(io.BytesIO(WHOLE[kind])) as image:
        expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(np.asarray(decode(WHOLE[kind], LIMITS)), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP"])
def test_images_are_turned_upright(orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(40, 30), name, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(np.asarray(decode(data, LIMITS)), expected)


def test_wide_grey_is_turned_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) << 8
    found = np.asarray(decode(encoded(Image.fromarray(values), exif=exif), LIMITS))
    assert np.array_equal(found, np.rot90(values >> 8, -1))


@pytest.mark.parametrize(
    "damage", [b"Exif\0\0", b"Exif\0\0noise", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\1"]
)
def test_damaged_exif_data_turns_nothing(damage: bytes) -> None:
    data = encoded(picture(40, 30), "JPEG", exif=damage)
    assert decode(data, LIMITS).size == (40, 30)


def test_an_orientation_beyond_eight_turns_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 99
    assert decode(encoded(picture(40, 30), "JPEG", exif=exif), LIMITS).size == (40, 30)


def test_no_thread_leaves_the_warnings_of_others_off() -> None:
    before = list(warnings.filters)
    meeting = threading.Barrier(2)

    def first() -> None:
        with silenced():
            meeting.wait()  # the other one is in
            meeting.wait()

    def second() -> None:
        with silenced():
            meeting.wait()
            meeting.wait()
            thread.join()  # leaves after the first

    thread = threading.Thread(target=first)
    thread.start()
    second()
    assert warnings.filters == before
