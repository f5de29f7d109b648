"""`headstart train` and `watch` print every event, go on over dropped connections, and let go of a job on Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from headstart.v1 import training_pb2 as pb

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer
from tests.support.fake_training import losses, script_of


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


def test_ctrl_c_lets_go_of_the_job_and_says_how_to_go_on(server: FakeServer, spec: Path, rows: Path) -> None:
    server.training.hold_after = 3
    heeding = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"  # tests may run in background
    )
    command = [sys.executable, "-c", f"{heeding}; from headstart.cli import main; sys.exit(main())", "train"]
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
