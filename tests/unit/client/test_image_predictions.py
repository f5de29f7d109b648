"""Image files are read, sent as bytes in messages that fit, and named in what comes back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import headstart
import pyarrow as pa
import pytest
from headstart.cli.prediction_rows import PredictionRows
from headstart.files.row_files import read_batches
from headstart.v1.table_pb2 import Table
from headstart.values import image_bytes
from headstart.values.predictions import Predictions

from tests.support.arrow import read_ipc, write_arrow
from tests.support.command_line import Run
from tests.support.fake_server import FakeServer

FEATURE = {"name": "photo", "type": "image"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of files whose bytes are their names."""
    for name in ("b.jpg", "a.PNG", "more/c.webp", "more/notes.txt", ".hidden/d.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "photos"


@pytest.fixture
def server(server: FakeServer) -> FakeServer:
    """A server whose model reads an image and nothing else."""
    server.models.inputs = {"photo": "image"}
    server.prediction.column = "photo"
    return server


def sent(server: FakeServer) -> list[list[bytes]]:
    """The bytes of each request."""
    return [list(request.table.columns[0].bytes.values) for request in server.prediction.requests]


def table_of(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def test_a_folder_of_images_is_predicted_file_by_file(server: FakeServer, run: Run, photos: Path) -> None:
    done = run("predict", "m1", "--data", photos, "--no-probabilities")
    assert [(row["file"], row["label_prediction"], row["length_prediction"]) for row in table_of(done.out)] == [
        ("a.PNG", "short", "5"),
        ("b.jpg", "short", "5"),
        ("more/c.webp", "long", "11"),
    ]
    assert done.out.startswith("file,")
    assert sent(server) == [[b"a.PNG", b"b.jpg", b"more/c.webp"]]


def test_one_image_is_predicted_by_its_name(server: FakeServer, run: Run, photos: Path) -> None:
    [row] = run("predict", "m1", "--data", photos / "b.jpg", "--json").lines
    assert (row["file"], row["length_prediction"]) == (str(photos / "b.jpg"), 5.0)


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet", "rows.arrow"])
def test_a_tables_image_cells_are_read_beside_it_and_missing_ones_stay_missing(
    server: FakeServer, run: Run, photos: Path, name: str
) -> None:
    table, cells = photos / name, ["b.jpg", None, "more/c.webp", str(photos / "a.PNG")]
    match table.suffix:
        case ".csv":
            table.write_text("photo,other.jpg\n" + "".join(f"{cell or ''},x.jpg\n" for cell in cells))
        case ".jsonl":
            table.write_text("".join(json.dumps({"photo": cell}) + "\n" for cell in cells))
        case _:
            write_arrow(pa.table({"photo": pa.array(cells).dictionary_encode()}), table)
    done = run("predict", "m1", "--data", table)
    assert [row["length_prediction"] for row in table_of(done.out)] == ["5", "0", "11", "5"]
    assert "file" not in table_of(done.out)[0]
    assert_nulls(server, [False, True, False, False])


def assert_nulls(server: FakeServer, expected: list[bool]) -> None:
    found: list[bool] = []
    for request in server.prediction.requests:
        if request.table.arrow_ipc:
            found += read_ipc(request.table).column("photo").is_null().to_pylist()
        else:
            [column] = [column for column in request.table.columns if column.name == "photo"]
            found += list(column.nulls) or [False] * len(column.bytes.values)
    assert found == expected


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_batches_hold_few_rows_where_images_are_large(photos: Path, name: str) -> None:
    for number in range(5):
        with (photos / f"{number}.jpg").open("wb") as file:
            file.truncate(3 << 19)
    names = [f"{number}.jpg" for number in range(5)]
    table = photos / name
    if name.endswith("csv"):
        table.write_text("\n".join(["photo", *names]))
    else:
        write_arrow(pa.table({"photo": names}), table)
    batches: list[Any] = list(read_batches(table, 256, ["photo"]))
    assert [read_ipc(batch).num_rows if isinstance(batch, Table) else len(batch) for batch in batches] == [2, 2, 1]


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_an_image_that_is_missing_is_named_by_row(
    server: FakeServer, run: Run, photos: Path, name: str, tmp_path: Path
) -> None:
    names = ["b.jpg"] * 4 + ["gone.jpg"]
    if name.endswith("csv"):
        (photos / name).write_text("\n".join(["photo", *names]))
    else:
        write_arrow(pa.table({"photo": names}), photos / name)
    done = run("predict", "m1", "--data", photos / name, "--output", tmp_path / "out.csv")
    assert done.code == 2
    assert f"{name}, row 5, column 'photo': the file '{photos}/gone.jpg' does not exist; add the file" in done.err
    assert not (tmp_path / "out.csv").exists()


def test_a_row_of_the_table_is_named_as_it_is_while_the_server_refuses_another(
    server: FakeServer, client: headstart.Client, photos: Path
) -> None:
    (photos / "rows.csv").write_text("photo\n" + "b.jpg\n" * 9 + "gone.jpg\n")
    rows = PredictionRows(photos / "rows.csv", client.models.get("m1"), 3)
    with pytest.raises(headstart.InvalidArgument, match="row 10") as raised:
        list(rows.batches())
    rows.answered(Predictions({}, "models/m1", 0))
    assert rows.named(headstart.InvalidArgument("row 2: is no image")).message == "row 5: is no image"
    assert rows.named(raised.value) is raised.value


def test_an_image_that_no_message_holds_is_named(
    server: FakeServer, run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_bytes, "MOST", 10)
    done = run("predict", "m1", "--data", photos)
    assert done.code == 2
    assert "more/c.webp' has 11 bytes, more than fit a message; save the image smaller" in done.err


def test_images_that_the_server_refuses_are_named(server: FakeServer, run: Run, photos: Path) -> None:
    for number in range(4):
        (photos / f"A{number}.jpg").write_text("fine")
    (photos / "b.jpg").write_text("no image")
    done = run("predict", "m1", "--data", photos, "--json")
    assert done.code == 2
    assert done.error["violations"] == [{"field": "table", "description": "column 'photo', b.jpg: is no image"}]
    (photos / "rows.csv").write_text("photo\n" + "a.PNG\n" * 7 + "b.jpg\n")
    assert "column 'photo', row 8: is no image" in run("predict", "m1", "--data", photos / "rows.csv").err


@pytest.mark.parametrize("inputs", [{"photo": "image", "title": "text"}, {"review": "text"}, {}])
def test_images_alone_are_refused_where_a_model_reads_something_else(
    server: FakeServer, run: Run, photos: Path, inputs: dict[str, str]
) -> None:
    server.models.inputs = inputs
    done = run("predict", "m1", "--data", photos)
    assert done.code == 2
    assert f"gives images only, but models/m1 reads {', '.join(inputs)}" in done.err


def test_a_folder_without_images_is_refused(server: FakeServer, run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("predict", "m1", "--data", tmp_path / "empty")
    assert (done.code, "holds no images" in done.err) == (2, True)


async def test_paths_and_bytes_are_predicted_from_python(
    server: FakeServer, client: headstart.Client, async_client: headstart.AsyncClient, photos: Path
) -> None:
    rows = {"photo": [photos / "b.jpg", b"bytes", None]}
    assert client.predict("m1", rows)["length"].values == [5.0, 5.0, 0.0]
    assert (await async_client.predict("m1", rows))["length"].values == [5.0, 5.0, 0.0]
    assert sent(server) == [[b"b.jpg", b"bytes", b""]] * 2
    assert list(server.prediction.requests[0].table.columns[0].nulls) == [False, False, True]
    assert server.models.reads == 0


def test_a_text_is_a_path_where_the_model_reads_an_image(
    server: FakeServer, client: headstart.Client, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    client.predict("m1", [{"photo": "b.jpg"}, {"photo": ""}])
    assert [answer.row_count for answer in client.predict_stream("m1", [{"photo": ["b.jpg", b"x"]}])] == [2]
    assert sent(server) == [[b"b.jpg", b""], [b"b.jpg", b"x"]]


def test_a_text_that_looks_like_an_image_is_a_text_where_the_model_reads_text(
    server: FakeServer, client: headstart.Client
) -> None:
    server.models.inputs, server.prediction.column = {"review": "text"}, "review"
    client.predict("m1", {"review": ["see b.jpg"]})
    assert server.prediction.requests[0].table.columns[0].strings.values == ["see b.jpg"]


def test_texts_are_predicted_without_asking_what_the_model_reads(server: FakeServer, client: headstart.Client) -> None:
    server.prediction.column = "review"
    client.predict("m1", {"review": ["good"]})
    assert server.models.reads == 0


@pytest.mark.parametrize("cell", ["gone.jpg", Path("gone.jpg")])
def test_a_missing_image_is_named_by_column_and_row(client: headstart.Client, server: FakeServer, cell: Any) -> None:
    with pytest.raises(headstart.InvalidArgument, match=r"column 'photo', row 1: the file 'gone.jpg' does not exist"):
        client.predict("m1", {"photo": [b"x", cell]})
    with pytest.raises(headstart.InvalidArgument, match=r"row 0: the file '\.' is a folder"):
        client.predict("m1", {"photo": [Path()]})


def test_more_images_than_a_message_holds_are_refused_with_what_to_do(client: headstart.Client) -> None:
    with pytest.raises(headstart.ResourceExhausted, match="send fewer rows at a time, as `predict_stream` does"):
        client.predict("m1", {"photo": [b"x" * (5 << 20)]})


@pytest.mark.parametrize("cell", ["b.jpg", Path("b.jpg"), b"b.jpg"])
async def test_images_are_embedded(
    server: FakeServer,
    client: headstart.Client,
    async_client: headstart.AsyncClient,
    photos: Path,
    cell: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(photos)
    assert list(client.embed(FEATURE, [cell])) == [[5.0, 1.0]]
    assert list(await async_client.embed(FEATURE, {"photo": [cell]})) == [[5.0, 1.0]]
    assert [table.columns[0].bytes.values for table in server.embedding.tables] == [[b"b.jpg"]] * 2
