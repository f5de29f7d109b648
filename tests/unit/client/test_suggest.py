"""`suggest` asks for a spec for rows: in Python, and on the command line."""

from __future__ import annotations

from pathlib import Path

import headstart
import pytest
from headstart.values.image_columns import ImageColumns

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer
from tests.support.refusals import Refusal


def test_rows_and_targets_are_sent(server: FakeServer, client: headstart.Client) -> None:
    assert client.suggest({"review": ["a"], "label": ["b"]}, "label").row_count == 3
    client.suggest(headstart.ServerPath("shop/train.csv"), ["label", "price"])
    inline, path = server.training.suggestions
    assert [column.name for column in inline.dataset.table.columns] == ["review", "label"]
    assert (path.dataset.path, list(path.targets)) == ("shop/train.csv", ["label", "price"])


async def test_the_asyncio_client_asks_too(server: FakeServer, async_client: headstart.AsyncClient) -> None:
    assert (await async_client.suggest({"review": ["a"]}, "label")).columns[0].type == "text"


def test_the_spec_is_printed_as_it_is(run: Run, rows: Path) -> None:
    assert run("suggest", rows, "--target", "label").out == "# 3 rows\ninput_features: []\n"


def test_the_spec_is_written_and_its_reasons_are_printed(run: Run, rows: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    done = run("suggest", rows, "--target", "label", "--write", new)
    assert (done.code, new.read_text()) == (0, "# 3 rows\ninput_features: []\n")
    for told in ("warning FEW_ROWS: 3 rows", "FREE_TEXT", "left out", "IDENTIFIER", f"headstart train {new}"):
        assert told in done.out


def test_no_file_is_replaced_unless_told(server: FakeServer, run: Run, rows: Path, spec: Path) -> None:
    given = spec.read_text()
    refused = run("suggest", rows, "--target", "label", "--write", spec)
    assert refused.code == 2 and "--overwrite" in refused.err
    assert (spec.read_text(), server.training.suggestions) == (given, [])
    assert run("suggest", rows, "--target", "label", "--write", spec, "--overwrite").code == 0


def test_machines_get_all_of_it(run: Run, rows: Path) -> None:
    assert run("suggest", rows, "--target", "label", "--json").lines[0]["columns"][1]["reason"] == "IDENTIFIER"


def test_a_target_is_needed(run: Run, rows: Path) -> None:
    done = run("suggest", rows)
    assert done.code == 2 and "--target" in done.err


def test_a_refusal_is_an_error(server: FakeServer, client: headstart.Client) -> None:
    import grpc

    server.training.refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, "targets[0]: no such column")
    with pytest.raises(headstart.InvalidArgument, match="no such column"):
        client.suggest({"review": ["a"]}, "label")


def test_without_a_spec_any_column_may_hold_images() -> None:
    columns = ImageColumns.unknown()
    assert columns.may_exist and not columns.certain
    assert columns.among(["photo", "price"]) == ["photo", "price"]
