"""A folder travels with its images and tables; one of several tables, in it or in an archive, has a name."""

from __future__ import annotations

from pathlib import Path

import headstart
import pytest
from headstart.v1.training_pb2 import DatasetSource

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer
from tests.support.image_tables import ROWS, SPEC, YAML, uploaded, write_table


def test_a_folder_per_class_is_packed_without_what_is_no_data(
    server: FakeServer, client: headstart.Client, tmp_path: Path
) -> None:
    for name in ("cat/1.jpg", "dog/2.PNG", "dog/notes.txt", ".git/3.jpg", "cat/.hidden.jpg"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(name.encode())
    client.train(SPEC, str(tmp_path / "pets")).close()
    assert uploaded(server) == {"cat/1.jpg": b"cat/1.jpg", "dog/2.PNG": b"dog/2.PNG"}
    assert server.datasets.headers[0].display_name == "pets.tar"


def test_a_folder_with_one_table_is_that_table(server: FakeServer, client: headstart.Client, table: Path) -> None:
    (table.parent / "lists").mkdir()
    table = table.rename(table.parent / "lists" / "train.csv")
    client.train(YAML, table.parent.parent).close()
    assert set(uploaded(server)) == {"images/a.jpg", "images/b.jpg", "lists/train.csv"}


def test_of_several_tables_in_a_folder_one_has_to_be_named(
    server: FakeServer, client: headstart.Client, table: Path
) -> None:
    write_table(table.with_name("test.csv"), ROWS[:1])
    with pytest.raises(headstart.InvalidArgument, match=r"holds 2 tables; name one of them: .*test\.csv, .*train\.csv"):
        client.train(SPEC, table.parent)
    client.train(SPEC, table, test=table.with_name("test.csv")).close()
    assert len(server.datasets.contents) == 2


def test_an_empty_folder_is_refused(client: headstart.Client, tmp_path: Path) -> None:
    with pytest.raises(headstart.InvalidArgument, match="holds no table and no images"):
        client.train(SPEC, tmp_path)


@pytest.mark.parametrize("name", ["photos.zip", "photos.tar", "photos.tar.gz", "photos.tgz"])
def test_a_table_within_an_archive_is_named_as_if_it_were_a_folder(
    server: FakeServer, run: Run, spec: Path, tmp_path: Path, name: str
) -> None:
    archive = tmp_path / name
    archive.write_bytes(b"archive")
    server.datasets.table_files = ["lists/test.csv", "train.csv"]
    run("train", spec, "--data", archive / "train.csv", "--test", f"{archive}/lists/test.csv", "--json")
    request = server.training.requests[0]
    assert (request.dataset.table_file, request.test_dataset.table_file) == ("train.csv", "lists/test.csv")
    assert request.dataset.dataset == request.test_dataset.dataset
    assert server.datasets.headers[0].display_name == name
    assert list(server.datasets.contents.values()) == [b"archive"]
    done = run("train", spec, "--data", archive)
    assert done.code == 2
    assert f"holds 2 tables; name one of them: {archive}/lists/test.csv, {archive}/train.csv" in done.err


def test_a_table_in_an_archive_elsewhere_is_named_alike(server: FakeServer, run: Run, spec: Path) -> None:
    run("train", spec, "--data", "far/photos.zip/train.csv", "--test", "datasets/d1/lists/test.csv", "--json")
    request = server.training.requests[0]
    assert request.dataset == DatasetSource(path="far/photos.zip", table_file="train.csv")
    assert request.test_dataset == DatasetSource(dataset="datasets/d1", table_file="lists/test.csv")


def test_a_folder_is_uploaded_with_all_its_tables_and_images(server: FakeServer, run: Run, table: Path) -> None:
    write_table(table.with_name("test.csv"), ROWS[:1])
    server.datasets.table_files = ["test.csv", "train.csv"]
    done = run("datasets", "upload", table.parent)
    assert set(uploaded(server)) == {f"images/{name}.jpg" for name in ("a", "b", "unnamed")} | {"test.csv", "train.csv"}
    assert "2 tables: test.csv, train.csv" in done.out
    assert "zip" in run("datasets", "list").out
