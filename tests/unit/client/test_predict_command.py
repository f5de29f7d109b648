"""`headstart predict` and `export` write whole files or none, in the order of the rows."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.arrow import read_ipc, write_arrow
from tests.support.command_line import Run
from tests.support.fake_server import FakeServer


def test_predict_writes_one_line_per_row_in_order(run: Run, rows: Path, tmp_path: Path, server: FakeServer) -> None:
    output = tmp_path / "out.csv"
    done = run("predict", "m1", "--data", rows, "--output", output, "--top-k", 1, "--json")
    assert done.code == 0
    assert done.lines == [{"model": "models/m1", "rows": 7, "rows_found": 7, "output": str(output)}]
    with output.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["length_prediction"] for row in table] == ["2", "8", "21", "1", "1", "1", "9"]
    assert table[1] == {
        "label_prediction": "long",
        "label_probability_long": "0.75",
        "label_probability_short": "0.25",
        "label_top_1": "long",
        "label_top_1_probability": "0.75",
        "length_prediction": "8",
        "tags_prediction": "splendid",
        "shape_prediction": "1 8",
    }
    assert table[6]["tags_prediction"] == "end,it,of"
    assert [len(request.table.columns[0].strings.values) for request in server.prediction.requests] == [3, 3, 1]


def test_predict_prints_to_stdout_without_an_output(run: Run, rows: Path) -> None:
    done = run("predict", "m1", "--data", rows, "--no-probabilities")
    assert done.out.splitlines()[:2] == [
        "label_prediction,length_prediction,tags_prediction,shape_prediction",
        "short,2,ab,1 2",
    ]
    assert [line["length_prediction"] for line in run("predict", "m1", "--data", rows, "--json").lines][:2] == [
        2.0,
        8.0,
    ]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "stream.arrow", "rows.feather"])
def test_parquet_and_arrow_files_are_predicted_as_text_files_are(
    run: Run, rows: Path, tmp_path: Path, name: str, server: FakeServer
) -> None:
    with rows.open(newline="") as file:
        table = pa.table({"review": [row["review"] for row in csv.DictReader(file)]})
    write_arrow(table, tmp_path / name)
    expected = run("predict", "m1", "--data", rows, "--json").lines
    assert run("predict", "m1", "--data", tmp_path / name, "--json").lines == expected
    assert [len(read_ipc(request.table)) for request in server.prediction.requests[-3:]] == [3, 3, 1]


def test_without_pyarrow_it_says_what_to_install_and_text_files_do_without(
    run: Run, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = run("predict", "m1", "--data", tmp_path / "rows.parquet")
    assert done.code == 2
    assert "reading .parquet needs pyarrow: pip install 'headstart[arrow]'" in done.err
    assert run("predict", "m1", "--data", rows).code == 0


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("bad.csv", "review\nok\na,b\n", "line 3: 2 cells under 1 columns"),
        ("empty.csv", "", "is empty"),
        ("bare.csv", "review\n", "holds no rows"),
        ("bad.jsonl", '{"review": "a"}\nnope\n', "line 2: not JSON"),
        ("rows.xlsx", "x", "convert the file"),
        ("bad.parquet", "x", "bad.parquet cannot be read"),
        ("bad.arrow", "ARROW1", "bad.arrow cannot be read"),
        ("bad.arrow", "x", "bad.arrow cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_no_output(
    run: Run, tmp_path: Path, name: str, content: str, why: str
) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "out").mkdir()
    done = run("predict", "m1", "--data", tmp_path / name, "--output", tmp_path / "out" / "o.csv")
    assert done.code == 2
    assert why in done.err
    assert list((tmp_path / "out").iterdir()) == []


def test_predicting_with_an_unknown_model_is_three(run: Run, rows: Path) -> None:
    assert run("predict", "none", "--data", rows, "--json").code == 3


def test_rows_that_cannot_be_read_are_left_out_on_request_and_told(
    run: Run, tmp_path: Path, server: FakeServer
) -> None:
    data, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    data.write_text("review\n" + "\n".join(["a", "bad", "ab", "abc", "bad", "b", "bad"]) + "\n")
    done = run("predict", "m1", "--data", data, "--output", output, "--skip-bad-rows", "--json")
    assert done.lines == [{"model": "models/m1", "rows": 4, "rows_found": 4, "rows_left_out": 3, "output": str(output)}]
    with output.open(newline="") as file:
        found = [(row["row"], row["length_prediction"]) for row in csv.DictReader(file)]
    assert found == [("1", "1"), ("3", "2"), ("4", "3"), ("6", "1")]
    assert [line for line in done.err.splitlines() if line.startswith("left out")] == [
        f"left out: table: column 'review', row {row}: is bad" for row in (2, 5, 7)
    ]
    assert (
        "4 rows predicted (4 found in the store), 3 left out"
        in run("predict", "m1", "--data", data, "--output", output, "--skip-bad-rows").out
    )


def test_a_file_of_bad_rows_only_leaves_no_output(run: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("review\nbad\nbad\n")
    done = run("predict", "m1", "--data", tmp_path / "rows.csv", "--output", tmp_path / "out.csv", "--skip-bad-rows")
    assert done.code == 2
    assert "holds no rows that can be read, of 2" in done.err
    assert not (tmp_path / "out.csv").exists()


def test_export_writes_the_files_and_tells_where(run: Run, tmp_path: Path, server: FakeServer) -> None:
    done = run("export", "m1", "--format", "torchscript", "--output", tmp_path / "out", "--head-only", "--json")
    (artifact,) = done.lines
    assert artifact["name"] == "artifacts/a1"
    assert [Path(path).read_bytes() for path in artifact["paths"]] == list(server.export.files.values())
    assert server.export.requests[0].head_only
    shown = run("export", "m1", "--output", tmp_path / "out")
    assert "largest difference from the live model 1.0e-06" in shown.out
    assert "check: comparing" in shown.err
