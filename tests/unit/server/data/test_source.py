"""Where a job's tables are can be sent to another machine, which opens them there or says why it cannot."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import DataLossError, FailedPreconditionError, InvalidInputError
from headstart_server.core.layout import Layout
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.decode import BadImageError, ImageLimits
from headstart_server.data.images.scan import scan
from headstart_server.data.remote import RemoteRoot
from headstart_server.data.source import SourceRecord
from headstart_server.storage.object_store import ObjectStore
from headstart_server.storage.storage import Storage

from tests.support.images import png

TABLE = b"photo,label\ncats/1.png,cat\ndogs/2.png,dog\n"


def test_a_file_that_is_not_on_this_machine_is_named_with_what_to_do(tmp_path: Path) -> None:
    record = SourceRecord("test_dataset", str(tmp_path / "elsewhere.csv"), "csv")
    with pytest.raises(FailedPreconditionError, match=r"test_dataset: its file is not on this machine") as caught:
        record.open(Storage(Layout(tmp_path)))
    assert (caught.value.reason, caught.value.field) == ("DATA_NOT_HERE", "test_dataset")
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("path", ["set", "set/train.csv", "./set//train.csv", "classes"])
def test_tables_and_folders_in_an_object_store_are_read_with_their_images(
    object_store: ObjectStore, tmp_path: Path, path: str
) -> None:
    for folder in ("set", "classes"):
        object_store.write(f"{folder}/cats/1.png", png(1))
        object_store.write(f"{folder}/dogs/2.png", png(2))
    object_store.write("set/train.csv", TABLE)
    root = RemoteRoot(object_store)
    table = root.open(path, root.format_of(path, "dataset"), "", tmp_path, "dataset")
    assert table.row_count == 2
    column = ImageColumn([table], table.columns[0], ImageLimits())
    assert [column.read(row) for row in range(2)] == [png(1), png(2)]
    assert root.size_bytes(path) > 0


def test_another_version_of_a_table_is_fetched_anew(object_store: ObjectStore, tmp_path: Path) -> None:
    root = RemoteRoot(object_store)
    for content, rows in ((TABLE, 2), (TABLE + b"cats/3.png,cat\n", 3)):
        object_store.write("train.csv", content)
        assert root.open("train.csv", root.format_of("train.csv", "f"), "", tmp_path, "f").row_count == rows


def test_images_that_are_missing_empty_or_lead_out_are_bad_images(object_store: ObjectStore, tmp_path: Path) -> None:
    cells = ["gone.png", "empty.png", "../secret.png", "/etc/passwd", "x" * 2_000, "fine.png"]
    object_store.write("train.csv", "\n".join(["photo", *cells]).encode())
    object_store.write("empty.png", b"")
    object_store.write("fine.png", png())
    root = RemoteRoot(object_store)
    table = root.open("train.csv", root.format_of("train.csv", "f"), "", tmp_path, "f")
    column = ImageColumn([table], "photo", ImageLimits())
    assert sorted(scan(column, np.arange(len(cells))).bad) == [0, 1, 2, 3, 4]
    with pytest.raises(BadImageError, match="leaves the data root"):
        column.read(2)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x.csv", "a/../../x.csv", "nothing.csv"])
def test_paths_that_lead_out_or_nowhere_are_refused(object_store: ObjectStore, path: str) -> None:
    object_store.write("a/train.csv", TABLE)
    with pytest.raises(InvalidInputError) as caught:
        RemoteRoot(object_store).format_of(path, "dataset.path")
    assert caught.value.violations[0].field == "dataset.path"


@pytest.mark.parametrize("content", [b"a,b\n1,3\n", b"a,b\n1,", b""])
def test_a_file_that_is_not_what_was_sent_is_no_other_table(content: bytes, tmp_path: Path) -> None:
    sent, storage = b"a,b\n1,2\n", Storage(Layout(tmp_path))
    with storage.datasets.publish("d1") as folder:
        (folder / "data.csv").write_bytes(sent)
    inline = tmp_path / "inline.csv"
    inline.write_bytes(sent)
    digest = hashlib.sha256(sent).hexdigest()
    uploaded = SourceRecord("dataset", str(tmp_path / "datasets/d1/data.csv"), "csv", "d1", sha256=digest)
    records = (uploaded, SourceRecord("test_dataset", str(inline), "csv", sha256=digest))
    assert [record.open(storage).row_count for record in records] == [1, 1]
    (storage.datasets.path("d1") / "data.csv").write_bytes(content)
    inline.write_bytes(content)
    with pytest.raises(DataLossError, match=r"datasets/d1 is damaged: .*; upload the file again, which mends it"):
        records[0].open(storage)
    with pytest.raises(DataLossError, match=r"test_dataset is damaged: .*; start the job again"):
        records[1].open(storage)
