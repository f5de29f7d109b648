"""`headstart plan` shows what of a file was read otherwise than written, and converts whole files."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer


def test_a_plan_shows_each_warning_once(run: Run, spec: Path, rows: Path) -> None:
    assert run("plan", spec, "--data", rows).out.count("warning SPELLING: training: read as trainer") == 1


def test_a_file_is_converted_without_rows(server: FakeServer, run: Run, spec: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    done = run("plan", spec, "--write", new)
    assert (done.code, new.read_text()) == (0, "# training: read as trainer\ntrainer:\n  epochs: 1\n")
    assert str(new) in done.out and "rows:" not in done.out
    assert not server.training.requests[0].HasField("dataset")


def test_a_file_is_converted_beside_its_plan(run: Run, spec: Path, rows: Path, tmp_path: Path) -> None:
    done = run("plan", spec, "--data", rows, "--write", tmp_path / "new.yaml", "--json")
    assert (tmp_path / "new.yaml").read_text() == done.lines[0]["spec_yaml"]


def test_no_file_is_replaced_unless_told(server: FakeServer, run: Run, spec: Path) -> None:
    given = spec.read_text()
    refused = run("plan", spec, "--write", spec)
    assert refused.code == 2 and "--overwrite" in refused.err
    assert (spec.read_text(), server.training.requests) == (given, [])
    assert run("plan", spec, "--write", spec, "--overwrite").code == 0
    assert spec.read_text() != given


def test_a_plan_needs_rows_or_a_file_to_write(run: Run, spec: Path) -> None:
    done = run("plan", spec)
    assert done.code == 2 and "--data" in done.err
