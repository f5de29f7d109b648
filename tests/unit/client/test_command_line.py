"""Every command ends with the exit code that says what happened, and tells an error to people and to machines."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from headstart.cli import main

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer
from tests.support.refusals import Refusal


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.NOT_FOUND, 3),
        (grpc.StatusCode.FAILED_PRECONDITION, 4),
        (grpc.StatusCode.ALREADY_EXISTS, 4),
        (grpc.StatusCode.UNAVAILABLE, 5),
        (grpc.StatusCode.INTERNAL, 1),
    ],
)
def test_each_status_has_its_exit_code(
    server: FakeServer, run: Run, spec: Path, rows: Path, status: grpc.StatusCode, code: int
) -> None:
    server.training.refusal = Refusal(status, "why", "WHY", {"trainer.epochs": "-1 is not positive; use 1 or more"})
    done = run("plan", spec, "--data", rows, "--json")
    assert done.code == code
    assert done.error == {
        "message": "why",
        "code": status.name,
        "reason": "WHY",
        "violations": [{"field": "trainer.epochs", "description": "-1 is not positive; use 1 or more"}],
        "retry_after": None,
        "exit_code": code,
    }


def test_people_read_the_field_and_the_fix(server: FakeServer, run: Run, spec: Path, rows: Path) -> None:
    server.training.refusal = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "the spec is wrong", "BAD_SPEC", {"trainer.epoch": "did you mean 'epochs'?"}
    )
    done = run("train", spec, "--data", rows)
    assert done.code == 2
    assert done.out == ""
    assert done.err == "error: the spec is wrong\n  trainer.epoch: did you mean 'epochs'?\n"


def test_people_read_a_field_that_is_the_whole_message_once(
    server: FakeServer, run: Run, spec: Path, rows: Path
) -> None:
    server.training.refusal = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, "trainer.epochs: -1; use 1", "BAD_SPEC", {"trainer.epochs": "-1; use 1"}
    )
    assert run("train", spec, "--data", rows).err == "error: trainer.epochs: -1; use 1\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train"],
        ["train", "nowhere.yaml", "--data", "x.csv"],
        ["nothing"],
        ["watch", "j1", "--after", "x"],
        ["predict", "m1", "--data", "nowhere.csv"],
        ["export", "m1", "--output", "out", "--format", "pickle"],
        ["store", "list", "extra"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_two(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert run(*arguments, "--json").error["exit_code"] == 2


def test_no_server_is_five(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HEADSTART_SERVER", "localhost:1")
    assert main(["info"]) == 5
    assert "Is a server running?" in capsys.readouterr().err
    assert main(["watch", "j1", "--retry-for", "0", "--json"]) == 5


def test_the_server_option_wins_over_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch, server: FakeServer
) -> None:
    monkeypatch.setenv("HEADSTART_SERVER", "localhost:1")
    assert run("info", "--server", server.address).code == 0


def test_help_tells_the_exit_codes(run: Run) -> None:
    for arguments in (["--help"], ["train", "--help"], ["predict", "--help"]):
        done = run(*arguments)
        assert done.code == 0
        assert "130 interrupted" in " ".join(done.out.split())


def test_a_group_without_a_command_shows_its_help_and_is_two(run: Run) -> None:
    done = run("jobs")
    assert (done.code, done.err) == (2, "")
    assert "cancel" in done.out


def test_an_unforeseen_error_is_json_for_machines(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("headstart.client.Client.server_info", fail)
    done = run("info", "--json")
    assert done.code == 1
    assert done.error["message"] == "ZeroDivisionError: a bug"
    with pytest.raises(ZeroDivisionError):
        run("info")
