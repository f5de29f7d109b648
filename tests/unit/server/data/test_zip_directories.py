"""The directory of a zip is a claim: members that are not what it says are found out, in bounded memory."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from headstart_server.data.archive_members import MAX_DIRECTORY_BYTES
from headstart_server.data.images.decode import BadImageError
from headstart_server.data.images.files import ArchiveFiles

from tests.support.archives import FILES, LIMITS, opened, refusal, zipped


def with_directory(data: bytes, change: Callable[[bytearray, int], None]) -> bytes:
    """A zip after a change of its directory's first entry."""
    changed = bytearray(data)
    change(changed, data.index(b"PK\1\2"))
    return bytes(changed)


def claiming(size: int) -> Callable[[bytearray, int], None]:
    def change(data: bytearray, entry: int) -> None:
        data[entry + 24 : entry + 28] = struct.pack("<I", size)

    return change


def test_a_member_larger_than_it_says_is_not_unpacked(tmp_path: Path) -> None:
    bomb = with_directory(zipped({"x.png": bytes(50 << 20)}), claiming(100))
    archive = opened(tmp_path, bomb, "zip")
    tracemalloc.start()
    try:
        with pytest.raises(BadImageError, match="not those that were packed"):
            ArchiveFiles(archive, "").read("x.png", LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_a_member_smaller_than_it_says_is_refused_when_it_is_read(tmp_path: Path) -> None:
    archive = opened(tmp_path, with_directory(zipped({"x.png": b"12"}), claiming(5_000)), "zip")
    with pytest.raises(BadImageError, match=r"'x\.png' cannot be read"):
        ArchiveFiles(archive, "").read("x.png", LIMITS)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    def encrypt(data: bytearray, entry: int) -> None:
        data[entry + 8] |= 1

    assert "'x.png' is encrypted" in refusal(tmp_path, with_directory(zipped({"x.png": b"1"}), encrypt), "zip")


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_LZMA, "lzma"), (zipfile.ZIP_BZIP2, "bzip2")])
def test_a_compression_that_is_not_read_is_refused(method: int, name: str, tmp_path: Path) -> None:
    assert f"is packed by '{name}', and only deflate is read" in refusal(
        tmp_path, zipped({"x.png": b"1" * 100}, method), "zip"
    )


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """The better zip bomb (https://www.bamsoftware.com/hacks/zipbomb/): each member alone looks harmless."""
    data = zipped({"x.png": b"1" * 500})
    entry, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    twice = data[entry:end] + data[entry:end].replace(b"x.png", b"y.png")
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 2, 2, len(twice), entry, 0)
    assert "shares its bytes with another" in refusal(tmp_path, data[:entry] + twice + tail, "zip")


def test_a_directory_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    size = MAX_DIRECTORY_BYTES + 1
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0)
    assert f"its directory has more than {MAX_DIRECTORY_BYTES} bytes; send a tar, or split it" in refusal(
        tmp_path, bytes(size) + end, "zip"
    )


def test_a_zip64_directory_is_read(tmp_path: Path) -> None:
    data = zipped(FILES)
    end = data.index(b"PK\5\6")
    count, size, start = struct.unpack("<HII", data[end + 10 : end + 20])
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    archive = opened(tmp_path, data[:end] + record + locator + tail, "zip")
    assert {name: archive.read(name) for name in archive.names} == FILES


def test_utf8_names_that_a_zip_does_not_announce_are_read(tmp_path: Path) -> None:
    data = zipped({"cafe\u0301/x.png": b"1"})
    silent = data.replace(b"\x00\x08", b"\x00\x00")
    assert data != silent
    archive = opened(tmp_path, silent, "zip")
    assert archive.names == ["café/x.png"]
    for name in ("café/x.png", "cafe\u0301/x.png", "./café//x.png", "café\\x.png"):
        assert ArchiveFiles(archive, "").read(name, LIMITS) == b"1"
