"""Whole data sets: predicted row after row over streams that break, and evaluated."""

from __future__ import annotations

from pathlib import Path

import headstart
import pytest

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer

DATA = headstart.ServerPath("shop/rows.csv")


def numbers(parts: list[headstart.Predictions]) -> list[float]:
    return [value for part in parts for value in part["number"].values]


def test_rows_come_in_order_and_those_that_were_left_out_are_told(client: headstart.Client) -> None:
    parts = list(client.predict_dataset("m1", DATA))
    assert numbers(parts) == [0, 2, 3, 4, 5, 6]
    assert {row: str(error) for part in parts for row, error in part.row_errors.items()} == {1: "table: row 2: is bad"}


@pytest.mark.parametrize(("broken", "asked"), [([1], [0, 2]), ([2, 0, 1], [0, 4, 4, 6]), ([4], [0]), ([3, 1], [0, 6])])
def test_a_stream_that_breaks_goes_on_with_the_next_row(
    server: FakeServer, client: headstart.Client, broken: list[int], asked: list[int]
) -> None:
    server.prediction.broken_after = list(broken)
    assert numbers(list(client.predict_dataset("m1", DATA))) == [0, 2, 3, 4, 5, 6]
    assert [request.first_row for request in server.prediction.dataset_requests] == asked


def test_it_may_begin_anywhere(server: FakeServer, client: headstart.Client) -> None:
    assert numbers(list(client.predict_dataset("m1", DATA, first_row=5, embedding_reuse="any", top_k=2))) == [5, 6]
    [request] = server.prediction.dataset_requests
    assert (request.model, request.dataset.path, request.first_row, request.top_k) == (
        "models/m1",
        "shop/rows.csv",
        5,
        2,
    )


async def test_the_asyncio_client_does_the_same(server: FakeServer, async_client: headstart.AsyncClient) -> None:
    server.prediction.broken_after = [2]
    parts = [part async for part in async_client.predict_dataset("m1", DATA)]
    assert numbers(parts) == [0, 2, 3, 4, 5, 6]
    assert (await async_client.evaluate("m1", DATA)).metrics["label.accuracy"] == 0.5


def test_an_evaluation_is_asked_for_again_where_its_stream_breaks(server: FakeServer, client: headstart.Client) -> None:
    server.prediction.broken_after = [1]
    told: list[tuple[int, int]] = []
    found = client.evaluate("m1", DATA, on_rows=lambda done, total: told.append((done, total)))
    assert found.row_count == 2 and told == [(1, 2), (1, 2), (2, 2)]
    assert [request.dataset.path for request in server.prediction.evaluations] == ["shop/rows.csv"] * 2


def test_the_command_prints_metrics_classes_and_the_worst_rows(run: Run, rows: Path) -> None:
    done = run("evaluate", "m1", "--data", rows)
    assert done.code == 0
    for told in ("models/m1 on 2 rows, 1 left out", "label.accuracy", "0.5000", "good", "0.667", "bad", "3.500"):
        assert told in done.out, told
    assert "left out, row 2: table: row 2: is bad" in done.err
    assert '"label.accuracy": 0.5' in run("evaluate", "m1", "--data", rows, "--json").out
