"""Uploads: checked, kept once, bounded, and gone without a trace when they fail."""

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import (
    DataLossError,
    FailedPreconditionError,
    InvalidInputError,
    NotFoundError,
    OutOfRangeError,
    StoreFullError,
    TooLargeError,
)
from headstart_server.data import received
from headstart_server.data.formats import Format
from headstart_server.data.uploads import Dataset, Uploads
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.object_store import ObjectStore

DATA = b"review,label\ngood,1\nbad,0\n"


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(SharedFolders(tmp_path / "datasets"), tmp_path / "tables", max_bytes=1_000)


def _upload(uploads: Uploads, data: bytes, name: str = "f.csv", file_format: str = "", sha256: str = "") -> Dataset:
    with uploads.receive(name, file_format, sha256) as upload:
        for start in range(0, len(data), 7):
            upload.write(data[start : start + 7])
        return upload.finish()


def _hidden(uploads: Uploads, folder: Path) -> list[Path]:
    return [path for path in (folder / "datasets").glob("*") if path.name.startswith(".")]


def test_an_upload_is_described_and_kept(uploads: Uploads) -> None:
    dataset = _upload(uploads, DATA)
    assert (dataset.row_count, dataset.columns, dataset.format) == (2, ["review", "label"], "csv")
    assert dataset.sha256 == hashlib.sha256(DATA).hexdigest()
    assert uploads.get(dataset.identifier) == dataset
    assert uploads.path(dataset).read_bytes() == DATA
    assert uploads.path(dataset).stat().st_size == dataset.size_bytes
    assert list(uploads.all()) == [dataset]


def test_equal_bytes_are_kept_once(uploads: Uploads) -> None:
    first, second = _upload(uploads, DATA, "one.csv"), _upload(uploads, DATA, "two.csv")
    assert first == second
    assert uploads.find(first.sha256) == first
    assert uploads.find("0" * 64) is None


def test_an_upload_that_is_sent_again_while_the_first_is_read_is_no_second_data_set(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = Uploads._shape
    reading = threading.Barrier(2)

    def slowly(*args: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            reading.wait(0.5)  # which both would come to if neither waited for the other
        return shape(*args)

    monkeypatch.setattr(Uploads, "_shape", slowly)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: _upload(uploads, DATA), range(2))
    assert first == second
    assert list(uploads.all()) == [first]


def test_equal_bytes_in_another_format_are_another_data_set(uploads: Uploads) -> None:
    assert _upload(uploads, DATA).identifier != _upload(uploads, DATA, file_format="tsv").identifier


def test_the_digest_is_checked_whatever_its_case(uploads: Uploads, tmp_path: Path) -> None:
    _upload(uploads, DATA, sha256=hashlib.sha256(DATA).hexdigest().upper())
    with pytest.raises(InvalidInputError) as caught:
        _upload(uploads, DATA + b"more,1\n", sha256=hashlib.sha256(DATA).hexdigest())
    assert caught.value.field == "header.sha256"
    assert _hidden(uploads, tmp_path) == []


def test_too_many_bytes_are_refused_and_leave_nothing(uploads: Uploads, tmp_path: Path) -> None:
    with pytest.raises(TooLargeError):
        _upload(uploads, b"x" * 1_001)
    assert _hidden(uploads, tmp_path) == []
    assert list(uploads.all()) == []


def test_a_chunk_above_two_mebibytes_is_refused(tmp_path: Path) -> None:
    uploads = Uploads(SharedFolders(tmp_path / "datasets"), tmp_path / "tables", max_bytes=1 << 30)
    with uploads.receive("f.csv", "", "") as upload:
        upload.write(b"x" * (2 << 20))
        with pytest.raises(InvalidInputError, match="holds 2097153 bytes; send at most 2097152"):
            upload.write(b"x" * ((2 << 20) + 1))
    assert list((tmp_path / "datasets").iterdir()) == []


def test_an_unreadable_file_is_refused_and_leaves_nothing(uploads: Uploads, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        _upload(uploads, b"a,b\n1\n")
    assert list((tmp_path / "datasets").iterdir()) == []


def test_an_abandoned_upload_leaves_nothing(uploads: Uploads, tmp_path: Path) -> None:
    with uploads.receive("f.csv", "", "") as upload:
        upload.write(DATA)
    assert list((tmp_path / "datasets").iterdir()) == []


@pytest.mark.parametrize(("name", "file_format"), [("f", ""), ("f.csv", "xlsx"), ("", "")])
def test_an_unknown_format_is_refused(uploads: Uploads, name: str, file_format: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        uploads.receive(name, file_format, "")
    assert caught.value.field == "header.format"


def test_a_full_disk_is_named(uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received, "new_id", lambda: "full")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / ".full.upload").symlink_to("/dev/full")
    with pytest.raises(StoreFullError):
        _upload(uploads, DATA)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_a_deleted_data_set_is_not_found(uploads: Uploads) -> None:
    dataset = _upload(uploads, DATA)
    uploads.delete(dataset.identifier)
    with pytest.raises(NotFoundError):
        uploads.get(dataset.identifier)
    with pytest.raises(NotFoundError):
        uploads.delete(dataset.identifier)
    assert list(uploads.all()) == []


def test_a_damaged_description_hides_its_data_set_alone(uploads: Uploads) -> None:
    damaged, sound = _upload(uploads, DATA), _upload(uploads, DATA + b"fine,1\n")
    path = uploads.path(damaged).with_name("dataset.json")
    for text in ("{", "[]", "{}", "\xff", path.read_text().replace('"row_count": 2', '"row_count": 3')):
        path.write_text(text, encoding="latin-1")
        assert list(uploads.all()) == [sound]
        with pytest.raises(DataLossError, match=rf"datasets/{damaged.identifier} is damaged: .*upload the file again"):
            uploads.get(damaged.identifier)
    again = _upload(uploads, DATA)
    assert again.identifier != damaged.identifier
    uploads.delete(damaged.identifier)
    assert list(uploads.all()) == [again, sound]


def test_a_description_without_a_digest_is_read(uploads: Uploads) -> None:
    dataset = _upload(uploads, DATA)
    path = uploads.path(dataset).with_name("dataset.json")
    values = json.loads(path.read_text())
    del values["digest"]
    path.write_text(json.dumps(values))
    assert uploads.get(dataset.identifier) == dataset


@pytest.mark.parametrize("content", [DATA.replace(b"good", b"goop"), DATA[:-9], None])
def test_the_right_bytes_mend_a_damaged_data_set(content: bytes | None, uploads: Uploads, tmp_path: Path) -> None:
    dataset = _upload(uploads, DATA)
    uploads.path(dataset).unlink()
    if content is not None:
        uploads.path(dataset).write_bytes(content)
    assert uploads.find(dataset.sha256) is None
    assert _upload(uploads, DATA) == dataset
    assert uploads.find(dataset.sha256) == dataset
    assert uploads.path(dataset).read_bytes() == DATA
    assert _hidden(uploads, tmp_path) == []


def test_the_right_bytes_mend_a_data_set_in_shared_storage(object_store: ObjectStore, tmp_path: Path) -> None:
    uploads, others = (
        Uploads(SharedFolders(tmp_path / name / "datasets", object_store), tmp_path / "tables", 1_000)
        for name in ("a", "b")
    )
    dataset = _upload(uploads, DATA)
    uploads.path(dataset).write_bytes(DATA[:-9])
    assert uploads.find(dataset.sha256) == dataset  # the copy here comes again
    [name] = [name for name in object_store.files() if name.endswith("data.csv")]
    object_store.write(name, DATA.replace(b"good", b"goop"))
    assert others.find(dataset.sha256) is None
    assert _upload(others, DATA) == dataset
    assert others.path(dataset).read_bytes() == DATA


def test_equal_bytes_in_two_formats_are_found_by_format(uploads: Uploads) -> None:
    both = b"a\tb\n1\t2\n3\t4\n"
    as_csv, as_tsv = _upload(uploads, both, "f.csv"), _upload(uploads, both, "f.tsv")
    assert as_csv.identifier != as_tsv.identifier
    for found in (as_csv, as_tsv):
        assert uploads.find(found.sha256, Format(found.format)) == found
    assert uploads.find(as_csv.sha256, Format.PARQUET) is None
    uploads.delete(as_tsv.identifier)
    assert uploads.find(as_csv.sha256) == as_csv
    assert uploads.find(as_csv.sha256, Format.TSV) is None


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
    assert _hidden(uploads, tmp_path) == []
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
    assert _hidden(uploads, tmp_path) == []


def test_the_bytes_before_an_offset_are_verified_too(uploads: Uploads, tmp_path: Path) -> None:
    _broken(uploads, b"spoilt" + DATA[6:10])
    digest = hashlib.sha256(DATA).hexdigest()
    with pytest.raises(InvalidInputError), uploads.receive("f.csv", "", digest, "u", 10) as upload:
        upload.write(DATA[10:])
        upload.finish()
    assert _hidden(uploads, tmp_path) == [], "what is wrong is not gone on with"


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
    assert _hidden(uploads, tmp_path) == []


def test_uploads_of_tenants_with_one_id_are_two(tmp_path: Path) -> None:
    first, second = (Uploads(SharedFolders(tmp_path / name), tmp_path / "tables", 1_000) for name in ("a", "b"))
    _broken(first, DATA[:10])
    with pytest.raises(NotFoundError, match="nothing of the upload 'u' is known"):
        second.received.find("u")
