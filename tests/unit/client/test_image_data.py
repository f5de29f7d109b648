"""A table travels with the images that it names, a folder with its images: once, and never without one of them."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import headstart
import pyarrow as pa
import pytest
from headstart.files import endings
from headstart.v1.training_pb2 import DatasetSource
from headstart_server.data import folders

from tests.support.arrow import write_arrow
from tests.support.command_line import Run
from tests.support.fake_server import FakeServer

SPEC: dict[str, Any] = {
    "input_features": [{"name": "photo", "type": "image"}, {"name": "title", "type": "text"}],
    "output_features": [{"name": "label", "type": "category"}],
}
YAML = "input_features:\n- {name: photo, type: image}\n- {name: title, type: text}\n"
ROWS = [("images/b.jpg", "two", "x"), ("images/a.jpg", "one", "y"), ("", "none", "x"), ("images/b.jpg", "again", "y")]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two images, one of them twice, beside a file that it does not name."""
    (tmp_path / "shop" / "images").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "unnamed.jpg"):
        (tmp_path / "shop" / "images" / name).write_bytes(name.encode() * 300)
    return write_table(tmp_path / "shop" / "train.csv", ROWS)


def write_table(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("photo", "title", "label"), *rows])
    return path


def uploaded(server: FakeServer) -> dict[str, bytes]:
    """The one archive that was uploaded, as Python's own reader sees it."""
    [content] = server.datasets.contents.values()
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as file:
        return {member.name: file.extractfile(member).read() for member in file}  # type: ignore[union-attr]


@pytest.mark.parametrize("spec", [SPEC, YAML], ids=["dict", "yaml"])
def test_a_table_is_packed_with_the_images_that_it_names_and_no_others(
    server: FakeServer, client: headstart.Client, table: Path, spec: Any
) -> None:
    client.train(spec, table).close()
    assert uploaded(server) == {
        "images/a.jpg": b"a.jpg" * 300,
        "images/b.jpg": b"b.jpg" * 300,
        "train.csv": table.read_bytes(),
    }
    assert server.datasets.headers[0].display_name == "train.tar"
    [digest] = server.datasets.contents
    assert server.training.requests[0].dataset == DatasetSource(dataset=f"datasets/{digest[:8]}")


@pytest.mark.parametrize("name", ["train.tsv", "train.jsonl", "train.parquet", "train.arrow", "utf16.csv"])
def test_every_kind_of_table_is_packed(server: FakeServer, client: headstart.Client, table: Path, name: str) -> None:
    columns = dict(zip(("photo", "title", "label"), map(list, zip(*ROWS, strict=True)), strict=True))
    path = table.with_name(name)
    match path.suffix:
        case ".tsv":
            path.write_text(table.read_text().replace(",", "\t"))
        case ".csv":
            path.write_text(table.read_text(), encoding="utf-16")
        case ".jsonl":
            path.write_text("".join(json.dumps({"photo": row[0] or None, "title": row[1]}) + "\n" for row in ROWS))
        case _:
            write_arrow(pa.table(columns), path)
    client.train(SPEC, path).close()
    assert set(uploaded(server)) == {"images/a.jpg", "images/b.jpg", name}


def test_what_was_packed_once_is_not_sent_again(server: FakeServer, client: headstart.Client, table: Path) -> None:
    client.train(SPEC, table).close()
    for path in table.parent.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    client.train(SPEC, table).close()
    assert len(server.datasets.headers) == 1
    assert server.training.requests[0].dataset == server.training.requests[1].dataset


async def test_the_async_client_packs_as_the_other_does(
    server: FakeServer, client: headstart.Client, async_client: headstart.AsyncClient, table: Path
) -> None:
    client.train(SPEC, table).close()
    await (await async_client.train(SPEC, table)).close()
    assert server.training.requests[0].dataset == server.training.requests[1].dataset
    assert len(server.datasets.headers) == 1


@pytest.mark.parametrize("spec", [SPEC, YAML], ids=["dict", "yaml"])
@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("images/c.jpg", r"there is no file 'images/c.jpg' in .*shop; add it, or correct the cell"),
        ("../shop/images/a.jpg", r"leads out of the table's folder; name files below .*shop, relative to it"),
        ("images", r"there is no file 'images'"),
        ("x" * 5000, "no file's name"),
    ],
)
def test_a_missing_image_is_named_by_row_before_anything_is_sent(
    server: FakeServer, client: headstart.Client, table: Path, cell: str, why: str, spec: Any
) -> None:
    write_table(table, [*ROWS, (cell, "t", "x")])
    with pytest.raises(headstart.InvalidArgument, match=why) as refused:
        client.train(spec, table)
    assert [violation.field for violation in refused.value.violations] == ["train.csv, row 5, column 'photo'"]
    assert not server.datasets.headers


def test_images_are_missed_where_none_of_them_is_there(client: headstart.Client, table: Path) -> None:
    write_table(table, [(f"elsewhere/{number}.PNG", "t", "x") for number in range(1000)])
    with pytest.raises(headstart.InvalidArgument, match="names 1,000 image files") as refused:
        client.train(YAML, table)
    assert len(refused.value.violations) == 20


def test_missing_images_are_left_to_the_policy_of_the_spec(
    server: FakeServer, client: headstart.Client, table: Path
) -> None:
    write_table(table, [*ROWS, ("images/c.jpg", "t", "x")])
    feature = {"name": "photo", "type": "image", "preprocessing": {"bad_image_policy": "drop"}}
    client.train({**SPEC, "input_features": [feature]}, table).close()
    assert set(uploaded(server)) == {"images/a.jpg", "images/b.jpg", "train.csv"}


def test_a_text_that_happens_to_name_a_file_is_no_image_to_a_dict(
    server: FakeServer, client: headstart.Client, table: Path
) -> None:
    write_table(table, [("images/a.jpg", "images/b.jpg", "x")])
    client.train(SPEC, table).close()
    assert set(uploaded(server)) == {"images/a.jpg", "train.csv"}


def test_one_text_that_happens_to_name_a_file_makes_no_column_of_images_in_yaml(
    server: FakeServer, client: headstart.Client, table: Path
) -> None:
    write_table(table, [("images/a.jpg", "train.csv", "x"), ("images/b.jpg", "a bag", "y"), ("images/b.jpg", "", "y")])
    client.train(YAML, table).close()
    assert set(uploaded(server)) == {"images/a.jpg", "images/b.jpg", "train.csv"}


def test_a_column_of_texts_is_not_looked_up_file_by_file_to_its_end(
    server: FakeServer, client: headstart.Client, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(table, [("images/a.jpg", f"a bag {number}", "x") for number in range(20_000)])
    looked: list[Path] = []
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: looked.append(path) or is_file(path))
    client.train(YAML, table).close()
    assert set(uploaded(server)) == {"images/a.jpg", "train.csv"}
    assert len(looked) < 2000


def test_files_without_an_images_ending_are_packed_where_most_are_there(
    server: FakeServer, client: headstart.Client, table: Path
) -> None:
    for name in ("a", "b"):
        (table.parent / "images" / f"{name}.jpg").rename(table.parent / "images" / name)
    write_table(table, [("images/a", "t", "x"), ("images/b", "t", "y")])
    client.train(YAML, table).close()
    assert set(uploaded(server)) == {"images/a", "images/b", "train.csv"}
    write_table(table, [("images/a", "t", "x"), ("images/b", "t", "y"), ("images/c", "t", "y")])
    with pytest.raises(headstart.InvalidArgument, match="there is no file 'images/c'"):
        client.train(YAML, table)


def test_an_index_without_a_name_is_no_hindrance(server: FakeServer, client: headstart.Client, table: Path) -> None:
    table.write_text(",photo,title\n0,images/a.jpg,x\n")
    client.train(SPEC, table).close()
    assert set(uploaded(server)) == {"images/a.jpg", "train.csv"}


def test_without_image_inputs_a_table_is_sent_as_it_is(
    server: FakeServer, client: headstart.Client, table: Path
) -> None:
    client.train({"input_features": [{"name": "title", "type": "text"}]}, table).close()
    assert list(server.datasets.contents.values()) == [table.read_bytes()]
    assert server.datasets.headers[0].display_name == "train.csv"


def test_a_table_that_holds_its_images_is_sent_as_it_is(
    server: FakeServer, client: headstart.Client, tmp_path: Path
) -> None:
    path = write_arrow(pa.table({"photo": [b"jpeg", None], "title": ["a", "b"]}), tmp_path / "train.parquet")
    client.train(SPEC, path).close()
    assert list(server.datasets.contents.values()) == [path.read_bytes()]


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


def test_rows_in_memory_travel_with_their_images(
    server: FakeServer, client: headstart.Client, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    photos: list[Any] = ["images/a.jpg", Path("images/b.jpg"), b"bytes", None, table.parent / "images/b.jpg"]
    client.train(SPEC, {"photo": photos, "title": list("vwxyz"), "price": [1.5, 2, None, 4, 5]}).close()
    found = uploaded(server)
    rows = [json.loads(line) for line in found["rows.jsonl"].splitlines()]
    assert [row["photo"] and found[row["photo"]] for row in rows] == [
        b"a.jpg" * 300,
        b"b.jpg" * 300,
        b"bytes",
        None,
        b"b.jpg" * 300,
    ]
    assert [row["title"] for row in rows] == list("vwxyz")
    assert [row["price"] for row in rows] == [1.5, 2.0, None, 4.0, 5.0]


def test_one_text_among_rows_that_happens_to_name_a_file_makes_no_column_of_images(
    server: FakeServer, client: headstart.Client, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table.parent)
    client.train(YAML, {"photo": [b"x", b"y"], "title": ["train.csv", "a bag"]}).close()
    rows = [json.loads(line) for line in uploaded(server)["rows.jsonl"].splitlines()]
    assert [row["title"] for row in rows] == ["train.csv", "a bag"]


def test_a_missing_image_among_rows_in_memory_is_named(
    server: FakeServer, client: headstart.Client, table: Path
) -> None:
    rows = [{"photo": table.parent / "images/a.jpg"}, {"photo": "nowhere.jpg"}]
    with pytest.raises(headstart.InvalidArgument, match=r"column 'photo', row 1: there is no file 'nowhere.jpg' here"):
        client.train(SPEC, rows)
    assert not server.datasets.headers


def test_paths_below_the_data_root_are_sent_as_they_are(server: FakeServer, client: headstart.Client) -> None:
    client.train(SPEC, {"photo": ["far/a.jpg"], "title": ["x"]}).close()
    columns = {column.name: column for column in server.training.requests[0].dataset.table.columns}
    assert columns["photo"].strings.values == ["far/a.jpg"]


def test_a_file_that_goes_away_while_it_is_sent_is_raised_as_it_is(client: headstart.Client, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x" * (2 << 20))
    with pytest.raises(FileNotFoundError, match=r"b\.jpg"):
        client.upload_dataset(tmp_path, on_upload=lambda sent, total: (tmp_path / "b.jpg").unlink(missing_ok=True))


def test_the_client_knows_files_by_the_endings_that_the_server_knows() -> None:
    assert endings.IMAGES == folders.IMAGE_ENDINGS
    assert endings.TABLES == folders.TABLE_ENDINGS


def test_without_pyarrow_a_parquet_file_is_sent_as_it_is(
    server: FakeServer, client: headstart.Client, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_arrow(pa.table({"photo": ["images/a.jpg"]}), table.with_name("train.parquet"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    client.train(SPEC, path).close()
    assert list(server.datasets.contents.values()) == [path.read_bytes()]
