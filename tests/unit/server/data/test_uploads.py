"""Uploads: checked, kept once, bounded, and gone without a trace when they fail."""

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import (
    DataLossError,
    InvalidInputError,
    NotFoundError,
    StoreFullError,
    TooLargeError,
)
from headstart_server.data import received
from headstart_server.data.formats import Format
from headstart_server.data.uploads import Uploads
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.object_store import ObjectStore

from tests.support.uploaded import DATA, hidden, uploaded


def test_an_upload_is_described_and_kept(uploads: Uploads) -> None:
    dataset = uploaded(uploads, DATA)
    assert (dataset.row_count, dataset.columns, dataset.format) == (2, ["review", "label"], "csv")
    assert dataset.sha256 == hashlib.sha256(DATA).hexdigest()
    assert uploads.get(dataset.identifier) == dataset
    assert uploads.path(dataset).read_bytes() == DATA
    assert uploads.path(dataset).stat().st_size == dataset.size_bytes
    assert list(uploads.all()) == [dataset]


def test_equal_bytes_are_kept_once(uploads: Uploads) -> None:
    first, second = uploaded(uploads, DATA, "one.csv"), uploaded(uploads, DATA, "two.csv")
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
        first, second = threads.map(lambda _: uploaded(uploads, DATA), range(2))
    assert first == second
    assert list(uploads.all()) == [first]


def test_equal_bytes_in_another_format_are_another_data_set(uploads: Uploads) -> None:
    assert uploaded(uploads, DATA).identifier != uploaded(uploads, DATA, file_format="tsv").identifier


def test_the_digest_is_checked_whatever_its_case(uploads: Uploads, tmp_path: Path) -> None:
    uploaded(uploads, DATA, sha256=hashlib.sha256(DATA).hexdigest().upper())
    with pytest.raises(InvalidInputError) as caught:
        uploaded(uploads, DATA + b"more,1\n", sha256=hashlib.sha256(DATA).hexdigest())
    assert caught.value.field == "header.sha256"
    assert hidden(tmp_path) == []


def test_too_many_bytes_are_refused_and_leave_nothing(uploads: Uploads, tmp_path: Path) -> None:
    with pytest.raises(TooLargeError):
        uploaded(uploads, b"x" * 1_001)
    assert hidden(tmp_path) == []
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
        uploaded(uploads, b"a,b\n1\n")
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
        uploaded(uploads, DATA)
    assert list((tmp_path / "datasets").iterdir()) == []


def test_a_deleted_data_set_is_not_found(uploads: Uploads) -> None:
    dataset = uploaded(uploads, DATA)
    uploads.delete(dataset.identifier)
    with pytest.raises(NotFoundError):
        uploads.get(dataset.identifier)
    with pytest.raises(NotFoundError):
        uploads.delete(dataset.identifier)
    assert list(uploads.all()) == []


def test_a_damaged_description_hides_its_data_set_alone(uploads: Uploads) -> None:
    damaged, sound = uploaded(uploads, DATA), uploaded(uploads, DATA + b"fine,1\n")
    path = uploads.path(damaged).with_name("dataset.json")
    for text in ("{", "[]", "{}", "\xff", path.read_text().replace('"row_count": 2', '"row_count": 3')):
        path.write_text(text, encoding="latin-1")
        assert list(uploads.all()) == [sound]
        with pytest.raises(DataLossError, match=rf"datasets/{damaged.identifier} is damaged: .*upload the file again"):
            uploads.get(damaged.identifier)
    again = uploaded(uploads, DATA)
    assert again.identifier != damaged.identifier
    uploads.delete(damaged.identifier)
    assert list(uploads.all()) == [again, sound]


def test_a_description_without_a_digest_is_read(uploads: Uploads) -> None:
    dataset = uploaded(uploads, DATA)
    path = uploads.path(dataset).with_name("dataset.json")
    values = json.loads(path.read_text())
    del values["digest"]
    path.write_text(json.dumps(values))
    assert uploads.get(dataset.identifier) == dataset


@pytest.mark.parametrize("content", [DATA.replace(b"good", b"goop"), DATA[:-9], None])
def test_the_right_bytes_mend_a_damaged_data_set(content: bytes | None, uploads: Uploads, tmp_path: Path) -> None:
    dataset = uploaded(uploads, DATA)
    uploads.path(dataset).unlink()
    if content is not None:
        uploads.path(dataset).write_bytes(content)
    assert uploads.find(dataset.sha256) is None
    assert uploaded(uploads, DATA) == dataset
    assert uploads.find(dataset.sha256) == dataset
    assert uploads.path(dataset).read_bytes() == DATA
    assert hidden(tmp_path) == []


def test_the_right_bytes_mend_a_data_set_in_shared_storage(object_store: ObjectStore, tmp_path: Path) -> None:
    uploads, others = (
        Uploads(SharedFolders(tmp_path / name / "datasets", object_store), tmp_path / "tables", 1_000)
        for name in ("a", "b")
    )
    dataset = uploaded(uploads, DATA)
    uploads.path(dataset).write_bytes(DATA[:-9])
    assert uploads.find(dataset.sha256) == dataset  # the copy here comes again
    [name] = [name for name in object_store.files() if name.endswith("data.csv")]
    object_store.write(name, DATA.replace(b"good", b"goop"))
    assert others.find(dataset.sha256) is None
    assert uploaded(others, DATA) == dataset
    assert others.path(dataset).read_bytes() == DATA


def test_equal_bytes_in_two_formats_are_found_by_format(uploads: Uploads) -> None:
    both = b"a\tb\n1\t2\n3\t4\n"
    as_csv, as_tsv = uploaded(uploads, both, "f.csv"), uploaded(uploads, both, "f.tsv")
    assert as_csv.identifier != as_tsv.identifier
    for found in (as_csv, as_tsv):
        assert uploads.find(found.sha256, Format(found.format)) == found
    assert uploads.find(as_csv.sha256, Format.PARQUET) is None
    uploads.delete(as_tsv.identifier)
    assert uploads.find(as_csv.sha256) == as_csv
    assert uploads.find(as_csv.sha256, Format.TSV) is None
