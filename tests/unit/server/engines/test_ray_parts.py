"""What the Ray engine does without a cluster: results travel, streams are watched, nodes judged, reports kept."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.core.errors import CancelledError, FailedPreconditionError, TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.core.versions import own_version
from headstart_server.encoding.encode_pool import EncodeResult
from headstart_server.engines.events import EncodeReport, JobEvent, ModelPublished, StateChange
from headstart_server.planning.backend import BackendPlan
from headstart_server.training.reports import EpochReport

from tests.support.image_jobs import RecordingListener

ray = pytest.importorskip("ray", reason="needs ray")
exceptions = pytest.importorskip("ray.exceptions")
cluster = pytest.importorskip("headstart_server.engines.ray.cluster")
encoding = pytest.importorskip("headstart_server.engines.ray.encoding")
nodes = pytest.importorskip("headstart_server.engines.ray.nodes")
report_channel = pytest.importorskip("headstart_server.engines.ray.report_channel")

RESULTS = [
    EncodeResult(np.array([3, 1, 1 << 40]), "actor ä", 1.25, 0.5, {1: "no image", 3: 'a "quoted"\nreason'}),
    EncodeResult(np.array([], np.int64), "actor b", 0.0, 0.0),
]


def plain(result: EncodeResult) -> dict[str, Any]:
    """A result to compare."""
    assert result.rows.dtype == np.int64
    return {**asdict(result), "rows": result.rows.tolist()}


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_travels_unchanged(result: EncodeResult) -> None:
    found = encoding.unpacked(encoding.packed(result))
    assert plain(found) == plain(result)
    assert all(type(row) is int for row in found.bad)


def test_a_result_that_is_an_error_says_what_the_worker_said() -> None:
    said = {"message": "the encoder overflows", "reason": "NON_FINITE_EMBEDDING", "field": "input_features[0]"}
    answer = pa.table({"result": [""], "error": [json.dumps(said)], "rows": [b""]})
    for read in (encoding.unpacked, lambda batch: streamed(batch).next(lambda: None)):
        with pytest.raises(TrainingFailedError) as caught:
            read(answer)
        assert {key: getattr(caught.value, key) for key in said} == said


@dataclass
class FakeDataset:
    """Batches as they are computed; `go_on` holds the first one back, `error` comes after the last."""

    batches: list[pa.Table]
    error: Exception | None = None
    go_on: threading.Event = field(default_factory=threading.Event)

    def iter_batches(self, **_: Any) -> Iterator[pa.Table]:
        assert self.go_on.wait(30)
        yield from self.batches
        if self.error is not None:
            raise self.error


def streamed(*batches: pa.Table, error: Exception | None = None) -> Any:
    dataset = FakeDataset(list(batches), error)
    dataset.go_on.set()
    stream = encoding.ResultStream(dataset)
    stream.start()
    return stream


def test_results_come_in_order_and_end_with_none() -> None:
    checks: list[int] = []
    stream = streamed(*map(encoding.packed, RESULTS * 3))
    found = list(iter(lambda: stream.next(lambda: checks.append(1)), None))
    assert [plain(each) for each in found] == [plain(each) for each in RESULTS * 3]
    assert len(checks) >= 7, "looks up before each"
    assert streamed().next(lambda: None) is None


def test_a_failed_pass_names_its_error_after_what_came_before_it() -> None:
    stream = streamed(encoding.packed(RESULTS[0]), error=ValueError("a trace\n  of lines\nthe disk is gone\n"))
    assert plain(stream.next(lambda: None)) == plain(RESULTS[0])
    with pytest.raises(TrainingFailedError, match=r"^the embedding pass failed: the disk is gone$") as caught:
        stream.next(lambda: None)
    assert caught.value.reason == Reason.WORKERS_FAILED
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_job_that_is_cancelled_does_not_wait_for_the_next_result() -> None:
    dataset, looked = FakeDataset([encoding.packed(RESULTS[0])]), list[int]()
    stream = encoding.ResultStream(dataset)
    stream.start()

    def check() -> None:
        looked.append(1)
        if len(looked) == 2:
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        stream.next(check)
    dataset.go_on.set()
    assert plain(stream.next(check)) == plain(RESULTS[0]), "nothing was lost"


def test_of_a_long_error_the_last_line_is_told() -> None:
    said = ["Traceback\nValueError: no room \n\n  \n", " \n", "x" * 301]
    assert [cluster.brief(RuntimeError(each)) for each in said] == ["ValueError: no room", "RuntimeError", "x" * 300]


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("gone"), exceptions.RaySystemError("gone")])
def test_whatever_a_cluster_fails_with_is_no_fault_of_the_job(error: Exception) -> None:
    with pytest.raises(FailedPreconditionError) as caught, cluster.no_cluster_named("is odd"):
        raise error
    assert caught.value.message.startswith("the Ray cluster is odd: ") and "gone" in caught.value.message
    assert (caught.value.reason, caught.value.field) == (Reason.NO_CLUSTER, "backend")
    with pytest.raises(CancelledError), cluster.no_cluster_named("is odd"):
        raise CancelledError("stop")


def test_a_cluster_where_nobody_listens_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        said = rf"^the Ray cluster at '{address}' cannot be joined: "
        with pytest.raises(FailedPreconditionError, match=said), cluster.cluster(address):
            raise AssertionError("joined")


class FakeRay:
    """Nodes, and answers that are what they are made of: values, or errors that getting them raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there: list[dict[str, Any]] = []
        monkeypatch.setattr(ray, "nodes", lambda: self.there)
        monkeypatch.setattr(ray, "get", self.get)

    def get(self, answer: Any, timeout: float | None = None) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def join(self, name: str, alive: bool = True, **resources: float) -> dict[str, Any]:
        node = {"NodeID": name, "NodeManagerAddress": f"at {name}", "Alive": alive, "Resources": resources}
        self.there.append(node)
        return node


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return FakeRay(monkeypatch)


PLAN = BackendPlan("ray", workers=5, least_workers=3, resources=(("CPU", 2.0), ("GPU", 0.5), ("none", 0.0)))


def test_nodes_have_room_for_as_many_workers_as_their_scarcest_resource(fake: FakeRay) -> None:
    fake.join("a", CPU=9, GPU=1)
    fake.join("b", CPU=16)
    fake.join("gone", alive=False, CPU=16, GPU=8)
    said = "the Ray cluster has nodes for 2 workers of 2 CPU, 0.5 GPU, 0 none each, and 3 are needed"
    assert nodes.shortage(PLAN) == said
    fake.join("c", CPU=3, GPU=8)
    assert nodes.shortage(PLAN) == ""


@pytest.mark.parametrize(("held", "each", "workers"), [(7, 0.28, 25), (7, 0.14, 50), (17, 0.34, 50), (1, 0.3, 3)])
def test_parts_of_a_cpu_are_counted_exactly(fake: FakeRay, held: float, each: float, workers: int) -> None:
    fake.join("a", CPU=held)
    enough = BackendPlan("ray", workers=workers, least_workers=workers, resources=(("CPU", each),))
    assert nodes.shortage(enough) == ""
    assert f"for {workers} workers" in nodes.shortage(replace(enough, least_workers=workers + 1))


def test_a_job_tells_once_that_it_waits_for_nodes_and_again_when_more_have_gone(fake: FakeRay) -> None:
    clock, listener = SimpleNamespace(now=100.0), RecordingListener()
    lookout = nodes.Lookout(PLAN, listener, clock=lambda: clock.now)
    enough = [fake.join("a", CPU=16, GPU=8)]
    told = []
    for seconds, there in ((4, []), (2, []), (9, []), (9, enough), (1, []), (4.5, [])):
        clock.now, fake.there = clock.now + seconds, there
        lookout.look()
        told.append(len(listener.warnings))
    assert told == [0, 1, 1, 1, 1, 2], "looks every five seconds"
    reason, message = listener.warnings[0]
    assert reason == "WAITING_FOR_RESOURCES"
    assert message.startswith("the Ray cluster has nodes for 0 workers")
    assert message.endswith("the job waits for others to join")


ROOM = (("CPU", 2.0),)


def test_a_node_is_unfit_where_workers_could_be_placed_and_would_not_start(fake: FakeRay) -> None:
    broken = exceptions.RuntimeEnvSetupError("No module named 'torch'.")
    asked = [(fake.join("good", CPU=4.0), own_version()), (fake.join("bad", CPU=2.0), broken)]
    with pytest.raises(FailedPreconditionError, match="the node at bad of the Ray cluster") as caught:
        nodes.require_able(asked, ROOM)
    assert "No module named 'torch'; install the server's packages there" in caught.value.message
    assert (caught.value.reason, caught.value.field) == (Reason.NODE_UNFIT, "backend")
    nodes.require_able(asked, (("CPU", 3.0),))  # nobody is placed on it
    fake.there = fake.there[:1]
    nodes.require_able(asked, ROOM)  # it has gone


def test_a_node_of_another_version_is_refused_and_a_silent_one_is_not(fake: FakeRay) -> None:
    silent = [exceptions.GetTimeoutError("late"), exceptions.RayActorError(), exceptions.ObjectLostError("0", None, "")]
    asked: list[Any] = [(fake.join(str(place), CPU=2.0), error) for place, error in enumerate(silent)]
    nodes.require_able(asked, ROOM)
    asked.append((fake.join("old", CPU=2.0), "0.0.1"))
    with pytest.raises(
        FailedPreconditionError, match=rf"at old .* has version 0\.0\.1, the server {own_version()}"
    ) as caught:
        nodes.require_able(asked, ROOM)
    assert caught.value.reason == Reason.VERSIONS_DIFFER


class FakeActor:
    """A report channel of this process, called as an actor is."""

    def __init__(self) -> None:
        self.channel = report_channel.ReportChannel()

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=getattr(self.channel, name))


def test_a_channel_gives_each_report_once_and_keeps_the_model_and_the_first_error() -> None:
    channel = report_channel.ReportChannel()
    events: list[JobEvent] = [StateChange(State.PUBLISHING), ModelPublished("m1", EpochReport(1, 2, {}, {}))]
    assert (channel.receive(), channel.published(), channel.asked(), channel.ended()) == ([], "", "", None)
    for event in events:
        channel.send(event)
    assert (channel.receive(), channel.receive(), channel.published()) == (events, [], "m1")
    channel.end({"reason": "FIRST"})
    channel.end({"reason": "SECOND"})
    channel.ask(report_channel.PAUSE)
    assert (channel.ended(), channel.asked()) == ({"reason": "FIRST"}, "pause")


def test_rank_0_sends_all_but_the_embedding_pass_and_hears_what_is_asked(fake: FakeRay) -> None:
    actor = FakeActor()
    with report_channel.ChannelReporter(actor) as reporter:
        reporter.report(StateChange(State.TRAINING))
        reporter.report(EncodeReport(total=10, seen=10, feature="review"))
        reporter.check()
        assert not reporter.stopping()
        actor.channel.ask(report_channel.PAUSE)
        deadline = time.monotonic() + 30
        while not reporter.stopping() and time.monotonic() < deadline:
            reporter.check()
            time.sleep(0.01)
        assert reporter.stopping()
        actor.channel.ask(report_channel.CANCEL)
        with pytest.raises(CancelledError, match="the job was cancelled"):
            while time.monotonic() < deadline:
                reporter.check()
                time.sleep(0.01)
    assert actor.channel.receive() == [StateChange(State.TRAINING)]


def test_a_channel_that_did_not_start_is_the_clusters_fault(fake: FakeRay) -> None:
    actor = FakeActor()
    report_channel.require_channel(actor)
    actor.channel.published = lambda: exceptions.RaySystemError("No module named 'headstart_server'")
    with pytest.raises(FailedPreconditionError, match=r"has no Headstart of this version .*No module"):
        report_channel.require_channel(actor)


def test_what_ray_unpickles_in_a_worker_imports_nothing_that_takes_long() -> None:
    heavy = ("torch", "transformers", "torchvision", "pandas", "pyarrow", "pydantic")
    program = (
        f"import sys, headstart_server.engines.ray.worker; print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert not set(heavy) & set(done.stdout.split())
