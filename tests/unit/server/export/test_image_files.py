"""The image reader of artifacts makes the pixels that the server makes, and says what it cannot read."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import headstart_server.export
import numpy as np
import pytest
from headstart.files import delimiters
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.images.reader import sized_of
from headstart_server.data.images.transform import ImageTransform
from PIL import Image

from tests.support.images import HALVES, broken_jpeg, encoded, picture

RUNTIME = Path(headstart_server.export.__file__).parent / "runtime"
TRANSFORMS = {
    "shorter side": ImageTransform(32, (24, 24), "bilinear", HALVES, HALVES),
    "stretched": ImageTransform((20, 30), (20, 30), "bicubic", (0.1, 0.9, 0.5), HALVES),
    "unscaled": ImageTransform(16, (16, 16), "bicubic", (10.0, 20.0, 30.0), HALVES, scale=1.0),
}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`image_files.py` as it lies in an artifact."""
    monkeypatch.syspath_prepend(RUNTIME)
    monkeypatch.setitem(sys.modules, "delimiters", delimiters)  # of which an artifact holds a copy
    return importlib.import_module("image_files")


def turned(orientation: int) -> dict[str, Any]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def wide() -> Image.Image:
    return Image.fromarray((np.arange(40 * 30).reshape(30, 40) * 50).astype(np.uint16))


FILES: dict[str, bytes] = {
    **{f"{mode} png": encoded(picture(40, 30, mode=mode)) for mode in ("RGB", "L", "LA", "RGBA", "P", "1")},
    "16-bit png": encoded(wide()),
    "16-bit png, turned": encoded(wide(), **turned(6)),
    "transparent palette": encoded(picture(40, 30, mode="P"), transparency=3),
    "CMYK jpeg": encoded(picture(40, 30, mode="CMYK"), "JPEG"),
    "large jpeg": encoded(picture(640, 480), "JPEG", quality=90),
    **{f"jpeg turned {turn}": encoded(picture(40, 30), "JPEG", **turned(turn)) for turn in range(1, 9)},
    "jpeg with damaged EXIF": encoded(picture(40, 30), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
    "webp": encoded(picture(31, 57), "WEBP", lossless=True),
    "bmp": encoded(picture(31, 57), "BMP"),
    "animated gif": encoded(
        picture(31, 57, mode="P"), "GIF", save_all=True, append_images=[picture(31, 57, 1, mode="P")]
    ),
    "one pixel": encoded(picture(1, 1)),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_that_the_server_reads(script: ModuleType, tmp_path: Path, name: str, transform: str) -> None:
    (tmp_path / "image").write_bytes(FILES[name])
    found = script.pixels_of(str(tmp_path / "image"), TRANSFORMS[transform].describe(), "photo", 1)
    expected = sized_of(FILES[name], TRANSFORMS[transform], ImageLimits())
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_a_missing_image_is_the_one_that_the_server_takes(script: ModuleType, transform: ImageTransform) -> None:
    found = script.pixels_of("", transform.describe(), "photo", 1)
    np.testing.assert_array_equal(found, sized_of(None, transform, ImageLimits()))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no such file"),
        (b"", "it is none of JPEG, PNG, WEBP, BMP, GIF"),
        (b"a text", "it is none of JPEG"),
        (encoded(picture(40, 30), "TIFF"), "it is none of JPEG"),
        (broken_jpeg(), "truncated"),
        (encoded(picture(40, 30))[:300], ""),
    ],
    ids=["missing", "empty", "text", "tiff", "cut jpeg", "cut png"],
)
def test_a_file_that_is_no_image_is_named_by_column_and_row(
    script: ModuleType, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "image"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        script.BadRowsError, match=rf"column 'photo', row 7: .* is no usable image \(.*{reason}"
    ) as caught:
        script.pixels_of(str(path), TRANSFORMS["stretched"].describe(), "photo", 7)
    assert "\n" not in str(caught.value)
