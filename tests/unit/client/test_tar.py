"""Tar archives as the client writes them: what Python's own writer would write, never held whole."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tracemalloc
from pathlib import Path

import headstart
import pytest
from headstart.files.content import digest_of
from headstart.files.tar import Member, TarContent


def test_an_archive_is_what_tarfile_would_write(tmp_path: Path) -> None:
    long = "folder/" * 30 + "é.jpg"
    (tmp_path / "b").write_bytes(b"x" * 1000)
    made = TarContent("t.tar", [Member(long, b"long"), Member("b", tmp_path / "b"), Member("empty", b"")])
    content = b"".join(made.chunks())
    expected = io.BytesIO()
    with tarfile.open(fileobj=expected, mode="w", format=tarfile.GNU_FORMAT) as file:
        for name, data in (("b", b"x" * 1000), ("empty", b""), (long, b"long")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    assert len(content) == made.size
    assert content == expected.getvalue()[: len(content)]
    assert not expected.getvalue()[len(content) :].strip(b"\0")
    assert digest_of(made) == hashlib.sha256(content).hexdigest()


def test_an_archive_is_never_held_whole(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(64 << 20)
    content = TarContent("t.tar", [Member(str(number), tmp_path / "big") for number in range(2)])
    tracemalloc.start()
    try:
        assert max(map(len, content.chunks())) == 1 << 20
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [999, 1001, 3_000_000])
def test_a_file_that_changes_while_it_is_packed_is_named(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x" * 1000)
    content = TarContent("t.tar", [Member("a.jpg", path)])
    path.write_bytes(b"x" * size)
    with pytest.raises(headstart.InvalidArgument, match=r"a\.jpg changed while it was being packed"):
        list(content.chunks())
