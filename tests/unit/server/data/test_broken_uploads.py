"""Uploads whose call broke: what has arrived is kept, gone on with, and taken over by one caller at a time."""

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from headstart_server.core.errors import (
    FailedPreconditionError,
    InvalidInputError,
    NotFoundError,
    OutOfRangeError,
    OverloadedError,
    StorageError,
    TooLargeError,
)
from headstart_server.data import received
from headstart_server.data.formats import Format
from headstart_server.data.uploads import Uploads
from headstart_server.storage.folders import SharedFolders

from tests.support.uploaded import DATA, hidden, uploaded


def _broken(uploads: Uploads, data: bytes, upload_id: str = "u", offset: int = 0, sha256: str = "") -> None:
    """An upload whose call breaks once it has brought some bytes."""
    with suppress(ConnectionError), uploads.receive("f.csv", "", sha256, upload_id, offset) as upload:
        upload.write(data)
        raise ConnectionError


def test_what_arrived_of_a_broken_upload_is_kept_and_gone_on_with(uploads: Uploads, tmp_path: Path) -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    _broken(uploads, DATA[:10])
    found = uploads.received.find("u")
    assert found.size == 10
    assert 86_000 < (found.expire_time - datetime.now(UTC)).total_seconds() <= 86_400
    _broken(uploads, DATA[10:20], offset=10)
    assert (uploads.received.find("u").size, uploads.received.size_bytes(), uploads.received.size_bytes("u")) == (
        20,
        20,
        0,
    )
    assert list(uploads.all()) == []
    with uploads.receive("f.csv", "", digest, "u", 15) as upload:  # fewer than it has
        upload.write(DATA[15:])
        dataset = upload.finish()
    assert (uploads.path(dataset).read_bytes(), dataset.sha256) == (DATA, digest)
    assert hidden(tmp_path) == []
    with pytest.raises(NotFoundError):
        uploads.received.find("u")


def test_an_upload_that_is_not_broken_by_its_call_is_not_kept(uploads: Uploads, tmp_path: Path) -> None:
    wrong = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(InvalidInputError, match="was announced"), uploads.receive("f.csv", "", wrong, "u") as upload:
        upload.write(DATA)
        upload.finish()
    with pytest.raises(TooLargeError), uploads.receive("f.csv", "", "", "u") as upload:
        upload.write(b"x" * 1_001)
    with suppress(ConnectionError), uploads.receive("f.csv", "", "") as upload:
        upload.write(DATA)
        raise ConnectionError
    assert hidden(tmp_path) == []


def test_the_bytes_before_an_offset_are_verified_too(uploads: Uploads, tmp_path: Path) -> None:
    _broken(uploads, b"spoilt" + DATA[6:10])
    digest = hashlib.sha256(DATA).hexdigest()
    with pytest.raises(InvalidInputError), uploads.receive("f.csv", "", digest, "u", 10) as upload:
        upload.write(DATA[10:])
        upload.finish()
    assert hidden(tmp_path) == [], "what is wrong is not gone on with"


@pytest.mark.parametrize("kept", [0, 4])
def test_an_offset_past_what_is_here_is_out_of_range(uploads: Uploads, kept: int) -> None:
    if kept:
        _broken(uploads, DATA[:kept])
    with pytest.raises(OutOfRangeError, match=f"5 is past what the server has of this upload, {kept} bytes") as caught:
        uploads.receive("f.csv", "", "", "u", 5)
    assert caught.value.field == "header.offset"


def test_the_whole_with_what_came_before_is_bounded(uploads: Uploads) -> None:
    _broken(uploads, b"x" * 990)
    with pytest.raises(TooLargeError), uploads.receive("f.csv", "", "", "u", 990) as upload:
        upload.write(b"x" * 11)


def test_a_call_that_goes_on_takes_the_upload_over_from_one_that_hangs(uploads: Uploads) -> None:
    hanging = uploads.receive("f.csv", "", "", "u")
    hanging.write(DATA[:10])
    with uploads.receive("f.csv", "", "", "u", 10) as second:
        for late in (lambda: hanging.write(b"more"), hanging.finish):
            with pytest.raises(FailedPreconditionError, match="another call goes on"):
                late()
        hanging.__exit__(None, None, None)
        second.write(DATA[10:])
        assert uploads.path(second.finish()).read_bytes() == DATA


def test_what_has_arrived_is_kept_where_something_failed_that_may_pass(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OverloadedError), uploads.receive("f.csv", "", "", "u") as upload:
        upload.write(DATA[:10])
        raise OverloadedError("busy")
    assert uploads.received.find("u").size == 10

    @contextmanager
    def away(folders: SharedFolders, name: str) -> Iterator[Path]:
        with publish(folders, name) as folder:
            yield folder
            raise StorageError("the shared storage cannot be reached")

    publish = SharedFolders.publish
    with monkeypatch.context() as patched:
        patched.setattr(SharedFolders, "publish", away)
        with pytest.raises(StorageError), uploads.receive("f.csv", "", "", "u", 10) as upload:
            upload.write(DATA[10:])
            upload.finish()
    assert uploads.received.find("u").size == len(DATA)
    with uploads.receive("f.csv", "", "", "u", len(DATA)) as upload:
        assert uploads.path(upload.finish()).read_bytes() == DATA
    with pytest.raises(NotFoundError):
        uploads.received.find("u")


def test_what_a_killed_server_has_published_is_not_written_again(uploads: Uploads, tmp_path: Path) -> None:
    """It had no time to take the first of the file's two names away."""
    dataset = uploaded(uploads, DATA)
    part = uploads.received._path("u")
    os.link(uploads.path(dataset), part)
    with uploads.receive("f.csv", "", "", "u") as upload:
        upload.write(b"a,b\n1,2\n")
        upload.finish()
    assert uploads.path(dataset).read_bytes() == DATA
    os.link(uploads.path(dataset), part)
    with pytest.raises(OutOfRangeError), uploads.receive("f.csv", "", "", "u", 5):
        pass


def test_who_sends_an_upload_again_while_it_is_published_is_told_to_wait(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "_PATIENCE_SECONDS", 0.01)
    reading, go_on = threading.Event(), threading.Event()
    shape = Uploads._shape

    def slow(self: Uploads, path: Path, file_format: Format) -> tuple[int, list[str]]:
        reading.set()
        assert go_on.wait(10)
        return shape(self, path, file_format)

    monkeypatch.setattr(Uploads, "_shape", slow)
    with ThreadPoolExecutor(1) as thread, uploads.receive("f.csv", "", "", "u") as upload:
        upload.write(DATA)
        publishing = thread.submit(upload.finish)
        assert reading.wait(10)
        with pytest.raises(OverloadedError, match="is being finished"):
            uploads.receive("f.csv", "", "", "u", len(DATA))
        go_on.set()
        assert uploads.path(publishing.result(10)).read_bytes() == DATA


def test_who_leaves_while_the_file_is_published_waits_for_nobody(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reading, go_on = threading.Event(), threading.Event()
    shape = Uploads._shape

    def slow(self: Uploads, received: Path, file_format: Format) -> tuple[int, list[str]]:
        reading.set()
        assert go_on.wait(10)
        return shape(self, received, file_format)

    monkeypatch.setattr(Uploads, "_shape", slow)
    with ThreadPoolExecutor(1) as thread:
        with suppress(ConnectionError), uploads.receive("f.csv", "", "", "u") as upload:
            upload.write(DATA)
            publishing = thread.submit(upload.finish)
            assert reading.wait(10)
            raise ConnectionError
        go_on.set()
        assert uploads.path(publishing.result(10)).read_bytes() == DATA
    assert hidden(tmp_path) == []


def test_uploads_of_tenants_with_one_id_are_two(tmp_path: Path) -> None:
    first, second = (Uploads(SharedFolders(tmp_path / name), tmp_path / "tables", 1_000) for name in ("a", "b"))
    _broken(first, DATA[:10])
    with pytest.raises(NotFoundError, match="nothing of the upload 'u' is known"):
        second.received.find("u")
