"""A table travels with the images that it names, a folder with its images: once, and never without one of them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import headstart
import pyarrow as pa
import pytest
from headstart.files import endings
from headstart.v1.training_pb2 import DatasetSource
from headstart_server.data import folders

from tests.support.arrow import write_arrow
from tests.support.fake_server import FakeServer
from tests.support.image_tables import ROWS, SPEC, YAML, uploaded, write_table


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

    def noted(path: Path) -> bool:
        looked.append(path)
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", noted)
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
