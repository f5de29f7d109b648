"""Predict answers as ever while another model is exported, and an export outlives its caller and its server.

Long, any family by name: `make test-exports MODEL_ROOT=FOLDER`.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import headstart
import pytest
from headstart.v1 import export_pb2 as pb
from headstart.v1 import export_pb2_grpc

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.stubs import stub_of
from tests.support.tiny_models import save_bert, save_distilbert


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, data_root: Path) -> Iterator[tuple[RunningServer, str, str]]:
    """A server of its own, with a model to predict with and another to export."""
    root = tmp_path_factory.mktemp("beside")
    save_bert(root / "models" / "tiny-bert")
    save_distilbert(root / "models" / "other")
    running = RunningServer(root / "state", "--model-root", str(root / "models"), "--data-root", str(data_root))
    with running:
        names = []
        for encoder in ("tiny-bert", "other"):
            spec = reviews.spec(epochs=1)
            spec["input_features"][0]["encoder"] |= {
                "type": "auto_transformer",
                "pretrained_model_name_or_path": encoder,
            }
            with running.client() as client:
                names.append(client.train(spec, headstart.ServerPath("reviews.csv")).result().model)
        yield running, names[0], names[1]


def export_processes(server: RunningServer) -> list[int]:
    """Process ids of the server's export processes."""
    assert server.process is not None
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, status = (entry / "cmdline").read_bytes(), (entry / "status").read_text()
        except OSError:
            continue
        if b"headstart_server.jobs.export_worker" in command and f"PPid:\t{server.process.pid}\n" in status:
            found.append(int(entry.name))
    return found


WORK = {"load", "trace", "check"}
"""Stages in which a process is at it."""


def stopped(pids: list[int]) -> None:
    """Has them stand still, so that none of them ends by itself."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


def runs(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def wait_until_gone(pids: list[int]) -> None:
    """Returns once none of them runs."""
    deadline = time.monotonic() + 30
    while any(runs(pid) for pid in pids):
        assert time.monotonic() < deadline, "an export process goes on"
        time.sleep(0.05)


def wait_until_tidy(server: RunningServer) -> None:
    """Returns once nothing half written is left of an artifact."""
    deadline = time.monotonic() + 30
    while left := list((server.state / "artifacts").glob(".*.tmp")):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_predict_answers_alike_while_another_model_is_exported(two: tuple[RunningServer, str, str]) -> None:
    server, live, other = two
    rows = reviews.columns(reviews.make_rows(8), "review", "price", "category")
    done = threading.Event()
    answers: list[Sequence[Sequence[float]]] = []

    def predict() -> None:
        with server.client() as client:
            while not done.wait(0.02):
                answers.append(client.predict(live, rows, embedding_reuse="none")["verdict"].probabilities)

    caller = threading.Thread(target=predict)
    caller.start()
    with server.client() as client:
        client.export(other, format="onnx")
    done.set()
    caller.join(60)
    assert not caller.is_alive() and len(answers) > 2
    for answer in answers[1:]:
        for found, expected in zip(answer, answers[0], strict=True):
            assert found == pytest.approx(expected, abs=1e-5)


def begin(server: RunningServer, model: str) -> tuple[grpc.Call, str]:
    """An export that has begun, and its job."""
    channel = grpc.insecure_channel(server.address)
    request = pb.ExportRequest(model=model, format=pb.Artifact.FORMAT_TORCHSCRIPT)
    call: grpc.Call = stub_of(export_pb2_grpc.ExportServiceStub, channel).Export(request)
    begun = next(event for event in call if event.progress.stage != "wait")  # one before it may be ending still
    assert begun.progress.stage in WORK
    return call, begun.export_job


def test_nothing_of_an_export_outlives_its_cancelling(two: tuple[RunningServer, str, str]) -> None:
    server, live, _ = two
    _, job = begin(server, live)
    pids = export_processes(server)
    assert len(pids) == 1
    stopped(pids)
    with server.client() as client:
        assert client.export_jobs.cancel(job).state == pb.ExportJob.STATE_CANCELLED
    wait_until_gone(pids)
    wait_until_tidy(server)


def test_an_export_outlives_its_caller_and_its_server_which_leave_no_process(
    two: tuple[RunningServer, str, str],
) -> None:
    server, live, _ = two
    call, job = begin(server, live)
    pids = export_processes(server)
    assert len(pids) == 1
    stopped(pids)
    call.cancel()
    server.kill()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    wait_until_gone(pids)
    wait_until_tidy(server)
    server.start()
    with server.client() as client:
        *_, ended = client.export_jobs.watch(job)
        assert ended.state == pb.ExportJob.STATE_SUCCEEDED
        assert client.artifacts.get(ended.artifact).format == pb.Artifact.FORMAT_TORCHSCRIPT
        assert [artifact.name for artifact in client.artifacts.list(live)] == [ended.artifact]
        assert client.export(live, format="torchscript").artifact.name == ended.artifact
    with pytest.raises(grpc.RpcError):
        list(call)


def test_a_client_follows_its_export_over_a_restart(two: tuple[RunningServer, str, str]) -> None:
    """The last test of the server that they share."""
    server, live, _ = two
    port = server.port
    exported: list[headstart.Exported] = []
    stages: list[str] = []

    def export() -> None:
        with headstart.Client(f"localhost:{port}") as client:
            exported.append(client.export(live, format="onnx", on_progress=lambda step: stages.append(step.stage)))

    caller = threading.Thread(target=export)
    caller.start()
    deadline = time.monotonic() + 60
    while not WORK & set(stages):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert server.stop() == 0
    server.start(port)
    caller.join(120)
    assert not caller.is_alive() and exported[0].artifact.model == live
    with server.client() as client:
        assert next(job.state for job in client.export_jobs.list(live)) == pb.ExportJob.STATE_SUCCEEDED
        assert len([each for each in client.artifacts.list(live) if each.format == pb.Artifact.FORMAT_ONNX]) == 1
