"""Commands print what scripts rely on, and end with the exit code that says what happened."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from headstart.cli import main
from headstart.v1 import training_pb2 as pb

from tests.support.fake_server import FakeServer
from tests.support.fake_training import losses, script_of
from tests.support.refusals import Refusal

Run = Callable[..., "Outcome"]


class Outcome:
    """What one command did."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines; anything else on it fails the test."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> dict[str, Any]:
        """Standard error as the one JSON object that it must be."""
        error: dict[str, Any] = json.loads(self.err)["error"]
        return error


@pytest.fixture
def run(server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("HEADSTART_SERVER", server.address)

    def call(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text("trainer: {epochs: 1}\n")
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text('review\nab\nsplendid\n"a ""quoted"" line\nbreak"\nx\ny\nz\nend of it\n')
    return path


def test_train_json_prints_every_event_and_the_job_last(server: FakeServer, run: Run, spec: Path, rows: Path) -> None:
    server.training.script = script_of(
        pb.TrainJobEvent(encode_progress=pb.EncodeProgress(feature="review", rows_total=7, rows_seen=7, rows_found=7)),
        pb.TrainJobEvent(epoch_finished=pb.EpochMetrics(epoch=1, validation={"label.accuracy": 0.9})),
    )
    done = run("train", spec, "--data", rows, "--request-id", "r1", "--json")
    assert done.code == 0
    *events, job = done.lines
    assert [event["sequence"] for event in events] == ["1", "2", "3", "4"]
    assert events[1]["encode_progress"]["rows_encoded"] == "0"
    assert events[2]["epoch_finished"]["validation"] == {"label.accuracy": 0.9}
    assert (job["name"], job["state"], job["model"]) == ("trainJobs/r1", "STATE_SUCCEEDED", "models/m1")
    assert job["encode_progress"]["rows_encoded"] == "0"
    assert server.training.requests[0].spec_yaml == "trainer: {epochs: 1}\n"
    assert server.training.requests[0].dataset.dataset.startswith("datasets/")


def test_data_that_is_no_local_file_is_a_path_on_the_server(server: FakeServer, run: Run, spec: Path) -> None:
    run("train", spec, "--data", "far/rows.csv", "--test", "datasets/d1", "--json")
    assert server.training.requests[0].dataset.path == "far/rows.csv"
    assert server.training.requests[0].test_dataset.dataset == "datasets/d1"


def test_train_goes_on_over_a_dropped_connection_and_tells_people(
    server: FakeServer, run: Run, spec: Path, rows: Path
) -> None:
    server.training.breaks.append(2)
    done = run("train", spec, "--data", rows)
    assert done.code == 0
    assert "connection lost (Socket closed)" in done.err
    assert "headstart predict models/m1 --data FILE" in done.out


def test_stderr_stays_empty_over_a_drop_where_a_machine_reads_it(
    server: FakeServer, run: Run, spec: Path, rows: Path
) -> None:
    server.training.breaks.append(2)
    done = run("train", spec, "--data", rows, "--json")
    assert done.err == ""
    assert len(done.lines) == 6


def test_detached_training_leaves_the_job_to_itself(run: Run, spec: Path, rows: Path) -> None:
    done = run("train", spec, "--data", rows, "--detach", "--request-id", "r1", "--json")
    assert [line["name"] for line in done.lines] == ["trainJobs/r1"]
    assert "headstart watch trainJobs/r1" in run("train", spec, "--data", rows, "--detach", "--request-id", "r1").out


def test_watch_leaves_out_what_was_seen(run: Run) -> None:
    assert [line.get("sequence") for line in run("watch", "j1", "--after", 3, "--json").lines] == ["4", "5", None]


@pytest.mark.parametrize(
    ("end", "code", "reason"),
    [(pb.TrainJob.STATE_FAILED, 1, "OUT_OF_MEMORY"), (pb.TrainJob.STATE_CANCELLED, 6, "JOB_CANCELLED")],
)
def test_a_job_that_ends_badly_has_its_own_exit_code(
    server: FakeServer, run: Run, end: pb.TrainJob.State, code: int, reason: str
) -> None:
    server.training.script = script_of(*losses(0.5), end=end)
    done = run("watch", "j1", "--json")
    assert done.code == done.error["exit_code"] == code
    assert done.error["reason"] == reason
    assert done.lines[-1]["state"] == pb.TrainJob.State.Name(end)


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


def test_ctrl_c_lets_go_of_the_job_and_says_how_to_go_on(server: FakeServer, spec: Path, rows: Path) -> None:
    server.training.hold_after = 3
    command = [sys.executable, "-c", "import sys; from headstart.cli import main; sys.exit(main())", "train"]
    options = [str(spec), "--data", str(rows), "--request-id", "r1", "--json", "--server", server.address]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline())["sequence"] for _ in range(3)]
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert seen == ["1", "2", "3"]
    assert process.returncode == 130
    assert out == ""
    assert "headstart watch trainJobs/r1 --after 3" in err
    assert "headstart jobs cancel trainJobs/r1" in err
    assert server.training.cancelled == []


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


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["jobs", "list"], [f"trainJobs/j{number}" for number in range(5)]),
        (["jobs", "get", "j1"], ["trainJobs/j1"]),
        (["jobs", "cancel", "j1"], ["trainJobs/j1"]),
        (["models", "list"], ["models/m1"]),
        (["models", "get", "m1"], ["models/m1"]),
        (["store", "list"], ["embeddingSpaces/s1"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_resources_are_json_lines_for_machines_and_readable_for_people(
    run: Run, arguments: list[str], names: list[str]
) -> None:
    assert [line["name"] for line in run(*arguments, "--json").lines] == names
    shown = run(*arguments)
    assert shown.code == 0
    assert all(name in shown.out for name in names)


def test_deleting_says_so(run: Run, server: FakeServer) -> None:
    assert run("models", "delete", "m1", "--json").lines == [{"deleted": "m1"}]
    assert run("store", "delete", "s1").code == 0
    assert (server.models.deleted, server.embedding.deleted) == (["models/m1"], ["embeddingSpaces/s1"])
    assert run("jobs", "delete", "j1").code == 4


def test_data_sets_are_uploaded_and_listed(run: Run, rows: Path) -> None:
    (uploaded,) = run("datasets", "upload", rows, "--json").lines
    assert [line["name"] for line in run("datasets", "list", "--json").lines] == [uploaded["name"]]
    assert uploaded["name"] in run("datasets", "list").out


def test_info_and_plan_are_read_by_people_and_machines(run: Run, spec: Path, rows: Path) -> None:
    assert run("info", "--json").lines[0]["version"] == "9.9.9"
    assert "minilm" in run("info").out
    assert run("plan", spec, "--data", rows, "--json").lines[0]["encode"][0]["rows_encoded"] == "3"
    shown = run("plan", spec, "--data", rows).out
    assert "7 found, 0 repeated, 3 encoded" in shown
    assert "trainer.batch_size" in shown


@pytest.mark.parametrize(
    ("arguments", "module", "handed"),
    [
        (["serve", "--state-dir", "s", "--port", "0"], "headstart_server.app", ["--state-dir", "s", "--port", "0"]),
        (["serve", "--help"], "headstart_server.app", ["--help"]),
        (
            ["store", "verify", "--state-dir", "s"],
            "headstart_server.embedding_store.cli",
            ["verify", "--state-dir", "s"],
        ),
        (["store", "stats", "--help"], "headstart_server.embedding_store.cli", ["stats", "--help"]),
        (["store", "compact", "--json"], "headstart_server.embedding_store.cli", ["compact", "--json"]),
        (["store", "prune", "--json"], "headstart_server.embedding_store.cli", ["prune", "--json"]),
        (
            ["store", "list", "--state-dir", "s", "--json"],
            "headstart_server.embedding_store.cli",
            ["list", "--state-dir", "s", "--json"],
        ),
        (["store", "list", "--state-dir=s"], "headstart_server.embedding_store.cli", ["list", "--state-dir=s"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_servers_commands_get_their_arguments_as_they_are(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], module: str, handed: list[str]
) -> None:
    got: list[list[str]] = []

    def take(argv: list[str]) -> int:
        got.append(argv)
        return 7

    fake = ModuleType(module)
    setattr(fake, "main", take)  # noqa: B010  (a module has no such attribute to the type checker)
    for parent in ("headstart_server", "headstart_server.embedding_store"):
        monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
    monkeypatch.setitem(sys.modules, module, fake)
    assert run(*arguments).code == 7
    assert got == [handed]


def test_a_missing_server_package_names_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "headstart_server.app", None)
    done = run("serve")
    assert done.code == 1
    assert "pip install 'headstart[server]'" in done.err
