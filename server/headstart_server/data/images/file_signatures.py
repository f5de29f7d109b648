"""Names files that are no images, so that an error says what was found in an image's place."""

KNOWN = "JPEG, PNG, WebP, BMP or GIF"
_MARKUP = (b"<", b"\xef\xbb\xbf<")
_ARCHIVES = (b"PK\3\4", b"PK\5\6", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")
_OTHERS = {
    b"II*\0": "a TIFF file",
    b"MM\0*": "a TIFF file",
    b"%PDF": "a PDF file",
    b"%!PS": "an EPS file",
    b"\xc5\xd0\xd3\xc6": "an EPS file",
    b"8BPS": "a Photoshop file",
    b"icns": "an ICNS file",
    b"\0\0\1\0": "an ICO file",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 file",
    b"\xff\x4f\xff\x51": "a JPEG 2000 file",
    b"\0\0\0\x0cJXL ": "a JPEG XL file",
    b"\xff\x0a": "a JPEG XL file",
    b"DDS ": "a DDS file",
    b"\x76\x2f\x31\x01": "an OpenEXR file",
    b"\x93NUMPY": "a NumPy file",
    b"PAR1": "a Parquet file",
}
_WHOLE = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"RIFF")
_LFS = b"version https://git-lfs"
_SHOWN = 24


def kind_of_file(data: bytes) -> str:
    """What a file is that no decoder knows, and what to do."""
    if not data:
        return "the file is empty; replace it"
    # A file that is shorter than a signature is compared as far as it goes.
    if any(start.startswith(data) if len(data) < len(start) else data.startswith(start) for start in _WHOLE):
        return "it is cut off or damaged at its beginning; replace the file"
    for signature, name in _OTHERS.items():
        if data.startswith(signature):
            return f"it is {name}, which is not read; save it as {KNOWN}"
    # ISO base media files (ISO/IEC 14496-12) begin with a box: four bytes of length, then its type.
    if data[4:8] == b"ftyp":
        return f"it is an HEIC, AVIF or video file, which is not read; save it as {KNOWN}"
    if data.startswith(_ARCHIVES):
        return "it is an archive, not an image; unpack it first"
    if data.startswith(_LFS):
        return "it is a pointer of Git LFS, not the image; fetch the file itself (git lfs pull)"
    if data[:64].lstrip().startswith(_MARKUP):
        return f"it is markup (HTML or SVG), not an image file; save it as {KNOWN}"
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in data[:64]):
        start = data[:_SHOWN].decode("ascii")
        return f"it is a text file, not an image; it begins with {start!r}; save an image as {KNOWN}"
    return f"its content is no image that is known here; save it as {KNOWN}"
