"""Whole data sets predicted and evaluated on the server: as Predict answers, whatever they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import headstart
import numpy as np
import pytest

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

ROWS = 1_300


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(a running server, a client, a model, the file that it is asked about)."""
    root = tmp_path_factory.mktemp("bulk")
    save_bert(root / "models" / "tiny-bert")
    reviews.write_csv(root / "train.csv", reviews.make_rows(300))
    reviews.write_csv(root / "rows.csv", reviews.make_rows(ROWS, seed=1))
    with RunningServer(root / "state", "--model-root", str(root / "models")) as server, server.client() as client:
        job = client.train(reviews.EVERY_OUTPUT, root / "train.csv", test=root / "train.csv").result()
        yield server, client, job, root / "rows.csv"


def test_every_row_is_answered_in_order_as_predict_answers_it(served: Any) -> None:
    _, client, job, path = served
    parts = list(client.predict_dataset(job.model, path))
    assert [part.row_count for part in parts] == [512, 512, ROWS - 1_024]
    some = [0, 1, 511, 512, 1_299]
    rows = reviews.make_rows(ROWS, seed=1)
    alone = client.predict(job.model, reviews.columns([rows[row] for row in some], "review", "price", "category"))
    for output in ("verdict", "watched", "tags"):
        whole = np.concatenate([np.asarray(part[output].probabilities) for part in parts])
        assert np.abs(whole[some] - np.asarray(alone[output].probabilities)).max() < 1e-5
    scores = np.concatenate([np.asarray(part["score"].values) for part in parts])
    assert np.abs(scores[some] - np.asarray(alone["score"].values)).max() < 1e-4


def test_a_call_goes_on_from_any_row(served: Any) -> None:
    _, client, job, path = served
    whole = [value for part in client.predict_dataset(job.model, path) for value in part["verdict"].values]
    rest = [
        value for part in client.predict_dataset(job.model, path, first_row=700) for value in part["verdict"].values
    ]
    assert rest == whole[700:]
    with pytest.raises(headstart.HeadstartError) as caught:
        list(client.predict_dataset(job.model, path, first_row=ROWS))
    assert caught.value.code is grpc.StatusCode.OUT_OF_RANGE and "no row of a data set of 1300 rows" in str(
        caught.value
    )


def test_rows_that_cannot_be_read_are_left_out_and_told_by_their_number(served: Any, tmp_path: Path) -> None:
    _, client, job, _ = served
    rows = reviews.make_rows(600, seed=2)
    rows[3]["price"], rows[550]["price"] = "cheap", "dear"
    reviews.write_csv(tmp_path / "bad.csv", rows)
    parts = list(client.predict_dataset(job.model, tmp_path / "bad.csv"))
    errors = {row: error for part in parts for row, error in part.row_errors.items()}
    assert set(errors) == {3, 550} and "'cheap'" in str(errors[3])
    assert str(errors[550]).startswith("dataset: column 'price', row 551:")
    assert sum(part.row_count for part in parts) == 598
    found = client.evaluate(job.model, tmp_path / "bad.csv")
    assert (found.row_count, found.rows_left_out) == (600, 2)
    assert [error.row for error in found.row_errors] == [3, 550]


def test_an_evaluation_says_what_the_job_said_of_the_same_rows(served: Any, tmp_path: Path) -> None:
    _, client, job, _ = served
    told: list[tuple[int, int]] = []
    path = tmp_path / "train.csv"
    reviews.write_csv(path, reviews.make_rows(300))
    found = client.evaluate(job.model, path, on_rows=lambda done, total: told.append((done, total)))
    assert told == [(300, 300)]
    best = job.best_epoch.test
    assert set(found.metrics) == set(best)
    for name, value in best.items():
        assert found.metrics[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    assert [output.output for output in found.outputs] == ["verdict", "watched", "score", "tags"]
    worst = found.outputs[0].worst_rows[0]
    assert worst.source == "dataset" and set(worst.inputs) == {"review", "price", "category"}
    assert worst.target == reviews.make_rows(300)[worst.row - 1]["verdict"]
    assert sum(each.rows for each in found.outputs[0].classes) == 300


def test_rows_without_a_target_are_left_out_of_that_output(served: Any, tmp_path: Path) -> None:
    _, client, job, _ = served
    rows = reviews.make_rows(40, seed=3)
    for row in rows[:10]:
        row["verdict"] = ""
    reviews.write_csv(tmp_path / "holes.csv", rows)
    found = client.evaluate(job.model, tmp_path / "holes.csv")
    assert [output.rows for output in found.outputs] == [30, 40, 40, 40]
    for row in rows:
        row.update(verdict="", watched="", score="", tags="")
    reviews.write_csv(tmp_path / "none.csv", rows)
    with pytest.raises(headstart.InvalidArgument, match="no row with a target"):
        client.evaluate(job.model, tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"review": "great", "price": "1", "category": "drama"}], "column 'verdict' is not in"),
        ([{"review": "great", "verdict": "positive"}], "dataset: column 'category' is not in dataset"),
        (
            [{**reviews.make_rows(1)[0], "verdict": "mixed"}],
            "'mixed'",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_refused_by_name(
    served: Any, tmp_path: Path, rows: list[dict[str, str]], words: str
) -> None:
    _, client, job, _ = served
    reviews.write_csv(tmp_path / "rows.csv", rows)
    with pytest.raises(headstart.InvalidArgument) as caught:
        client.evaluate(job.model, tmp_path / "rows.csv")
    assert words in str(caught.value)
    assert {violation.field.partition("[")[0] for violation in caught.value.violations} == {"dataset"}


def test_a_model_that_is_not_there_is_not_found(served: Any) -> None:
    _, client, _, path = served
    with pytest.raises(headstart.NotFound):
        client.evaluate("models/none", path)
    with pytest.raises(headstart.NotFound):
        list(client.predict_dataset("models/none", path))


def test_where_requests_may_have_few_rows_a_data_set_takes_more_turns(served: Any, tmp_path: Path) -> None:
    server, _, job, _ = served
    path = tmp_path / "rows.csv"
    reviews.write_csv(path, reviews.make_rows(70, seed=4))
    flags = ("--max-predict-rows", "32", "--model-root", str(server.state.parent / "models"))
    server.stop()
    try:
        with RunningServer(server.state, *flags) as small, small.client() as client:
            assert [part.row_count for part in client.predict_dataset(job.model, path)] == [32, 32, 6]
    finally:
        server.start()
