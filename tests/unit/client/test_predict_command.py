"""`headstart predict` and `export` write whole files or none, in the order of the rows."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("bad.csv", "review\nok\na,b\n", "line 3: 2 cells under 1 columns"),
        ("empty.csv", "", "is empty"),
        ("bare.csv", "review\n", "holds no rows"),
        ("bad.jsonl", '{"review": "a"}\nnope\n', "line 2: not JSON"),
        ("rows.parquet", "x", "convert the file"),
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


def test_export_writes_the_files_and_tells_where(run: Run, tmp_path: Path, server: FakeServer) -> None:
    done = run("export", "m1", "--format", "torchscript", "--output", tmp_path / "out", "--head-only", "--json")
    (artifact,) = done.lines
    assert artifact["name"] == "artifacts/a1"
    assert [Path(path).read_bytes() for path in artifact["paths"]] == list(server.export.files.values())
    assert server.export.requests[0].head_only
    shown = run("export", "m1", "--output", tmp_path / "out")
    assert "largest difference from the live model 1.0e-06" in shown.out
    assert "check: comparing" in shown.err
