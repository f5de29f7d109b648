"""Both clients and the command line record what they follow; a sink that fails is told of once and ends nothing."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import headstart
import pytest
from headstart.sinks import MLflow, TensorBoard, WandB
from headstart.v1 import training_pb2 as pb

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer
from tests.support.fake_training import losses, script_of
from tests.support.sink_jobs import KeptSink, failing

SPEC = {"input_features": [{"name": "review", "type": "text"}]}
ROWS = {"review": ["good", "bad"]}
FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("breaks", [[], [2], [0, 3], [1, 1, 1, 1]])
def test_events_are_recorded_once_however_the_stream_drops(
    server: FakeServer, client: headstart.Client, breaks: list[int]
) -> None:
    server.training.breaks.extend(breaks)
    server.training.overlap = 1
    sink = KeptSink()
    assert len(list(client.train(SPEC, ROWS, sinks=[sink]))) == 5
    assert [position for key, position, _ in sink.points if key == "train/loss"] == [1, 2, 3]
    assert [tag for tag, _ in sink.texts] == ["state", "state"]
    assert sink.calls[:2] == ["check", "open"]
    assert sink.calls.count("close") == 1
    assert sink.job.model == "models/m1"


async def test_the_async_client_records_the_same(async_client: headstart.AsyncClient) -> None:
    sink = KeptSink()
    run = await async_client.train(SPEC, ROWS, sinks=[sink])
    await run.result()
    assert [position for key, position, _ in sink.points if key == "train/loss"] == [1, 2, 3]
    assert (sink.calls[0], sink.calls[-1], run.sink_failures) == ("check", "close", ())


async def test_an_async_watch_that_is_let_go_of_closes_its_sinks(async_client: headstart.AsyncClient) -> None:
    sink = KeptSink()
    run = async_client.watch("j1", sinks=[sink])
    assert (await anext(run)).sequence == 1
    await run.close()
    assert sink.calls == ["check", "open", "text", "close"]


def test_a_run_that_is_let_go_of_closes_its_sinks_and_is_no_end(client: headstart.Client) -> None:
    sink = KeptSink()
    client.watch("j1", sinks=[sink]).close()
    run = client.train(SPEC, ROWS, sinks=[sink := KeptSink()])
    run.close()
    assert (sink.calls[-1], sink.state) == ("close", None)


@pytest.mark.parametrize("at", ["open", "write", "text", "end", "close"])
def test_a_sink_that_fails_is_told_of_once_and_the_others_go_on(
    client: headstart.Client, caplog: pytest.LogCaptureFixture, at: str
) -> None:
    bad, good = failing(at, FULL), KeptSink()
    run = client.train(SPEC, ROWS, request_id="r1", sinks=[bad, good])
    with caplog.at_level(logging.WARNING):
        assert run.result().model == "models/m1"
    (failure,) = run.sink_failures
    assert "Kept failed: OSError: [Errno 28] No space left on device" in str(failure)
    assert "`headstart watch trainJobs/r1 --kept here` writes what is missing" in str(failure)
    assert [record.getMessage() for record in caplog.records] == [failure.message]
    assert bad.calls.count(at) == 1
    assert bad.calls[-1] == at
    assert good.state == pb.TrainJob.STATE_SUCCEEDED


async def test_a_sink_that_fails_ends_no_async_following(async_client: headstart.AsyncClient) -> None:
    run = await async_client.train(SPEC, ROWS, sinks=[failing("write", RuntimeError("the server is gone"))])
    assert (await run.result()).model == "models/m1"
    assert "the server is gone" in str(run.sink_failures[0])


@pytest.mark.parametrize("error", [FULL, headstart.InvalidArgument("no key")])
def test_a_sink_that_cannot_be_written_to_is_told_before_anything_is_sent(
    server: FakeServer, client: headstart.Client, rows: Path, error: Exception
) -> None:
    expected = headstart.HeadstartError if isinstance(error, headstart.HeadstartError) else headstart.SinkFailed
    with pytest.raises(expected, match=r"no key|--kept here.*No space.*nothing was started"):
        client.train(SPEC, rows, sinks=[failing("check", error)])
    assert server.training.requests == []
    assert server.datasets.headers == []


@pytest.mark.parametrize(
    ("package", "extra", "make"),
    [
        ("tensorboard.compat.proto.event_pb2", "tensorboard", lambda: TensorBoard("runs")),
        ("mlflow.tracking", "mlflow", lambda: MLflow("http://localhost:1")),
        ("wandb", "wandb", lambda: WandB("p")),
    ],
)
def test_a_missing_package_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str, make: type[KeptSink]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(headstart.InvalidArgument, match=rf"pip install 'headstart\[{extra}\]'") as raised:
        make()
    assert raised.value.reason == "SINK_NOT_INSTALLED"


@pytest.mark.parametrize("option", ["--mlflow", "--wandb"])
def test_the_command_starts_nothing_where_a_package_is_missing(
    server: FakeServer, run: Run, spec: Path, rows: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    done = run("train", spec, "--data", rows, option, "there", "--json")
    assert (done.code, done.error["reason"]) == (2, "SINK_NOT_INSTALLED")
    assert server.training.requests == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--mlflow-experiment", "e"], "--mlflow URI"),
        (["--detach", "--tensorboard", "runs"], "headstart watch"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(
    server: FakeServer, run: Run, spec: Path, rows: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    done = run("train", spec, "--data", rows, *options)
    assert done.code == 2
    assert said in done.err
    assert server.training.requests == []


def test_a_folder_that_cannot_be_made_starts_nothing(
    server: FakeServer, run: Run, spec: Path, rows: Path, tmp_path: Path
) -> None:
    done = run("train", spec, "--data", rows, "--tensorboard", rows / "below_a_file", "--json")
    assert (done.code, done.error["reason"]) == (7, "SINK_FAILED")
    assert "nothing was started" in done.error["message"]
    assert server.training.requests == []


@pytest.mark.parametrize(
    ("end", "code"),
    [(pb.TrainJob.STATE_SUCCEEDED, 7), (pb.TrainJob.STATE_FAILED, 1), (pb.TrainJob.STATE_CANCELLED, 6)],
)
def test_the_exit_code_tells_of_a_sink_unless_the_job_ended_badly(
    server: FakeServer, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: pb.TrainJob.State, code: int
) -> None:
    server.training.script = script_of(*losses(0.5), end=end)

    def fail(*_: object) -> None:
        raise FULL

    monkeypatch.setattr(TensorBoard, "write", fail)
    done = run("watch", "j1", "--tensorboard", tmp_path / "my runs", "--json")
    assert done.code == code
    assert done.lines[-1]["state"] == pb.TrainJob.State.Name(end)
    warning = json.loads(done.err.splitlines()[0])["warning"]
    assert f"--tensorboard '{tmp_path}/my runs'` writes what is missing" in warning["message"]
    told = run("watch", "j1", "--tensorboard", tmp_path / "others").err
    assert told.count("warning: TensorBoard failed: OSError: [Errno 28]") == 1


def test_a_job_whose_sinks_are_sound_ends_with_zero(run: Run, tmp_path: Path) -> None:
    done = run("watch", "j1", "--tensorboard", tmp_path / "runs")
    assert (done.code, done.err) == (0, "")
    assert list((tmp_path / "runs" / "j1").glob("events.out.tfevents.*"))
