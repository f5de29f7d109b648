"""The way between rank 0 and the driver: an actor that keeps reports for the one and what it asks for the other."""

import threading
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headstart_server.core.errors import CancelledError
from headstart_server.engines.events import EncodeReport, JobEvent, ModelPublished
from headstart_server.engines.ray.cluster import no_cluster_named

_LOOK_SECONDS = 0.5
CANCEL, PAUSE = "cancel", "pause"
"""What the driver asks of the workers."""


def start_channel() -> Any:
    """Starts an actor on this machine that keeps what rank 0 reports."""
    # beside the driver, so that no other node that is lost takes reports with it
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(ReportChannel).options(num_cpus=0, scheduling_strategy=here).remote()


def require_channel(channel: Any) -> None:
    """Raises FailedPreconditionError where they could not be started."""
    with no_cluster_named("has no Headstart of this version in its Python"):
        ray.get(channel.published.remote())


class ReportChannel:
    """Reports of rank 0, kept until the driver asks for them, and what the driver asks of the workers."""

    def __init__(self) -> None:
        self._reports: list[JobEvent] = []
        self._published = ""
        self._asked = ""
        self._ended: dict[str, str] | None = None

    def send(self, event: JobEvent) -> None:
        """Takes note of one report."""
        self._reports.append(event)
        if isinstance(event, ModelPublished):
            self._published = event.model

    def receive(self) -> list[JobEvent]:
        """Returns the reports sent since the last call."""
        reports, self._reports = self._reports, []
        return reports

    def published(self) -> str:
        """The model's id, once there is one."""
        return self._published

    def ask(self, word: str) -> None:
        """The job is to `cancel`, or to `pause` at its next checkpoint."""
        self._asked = word

    def asked(self) -> str:
        """What it is to do; empty: go on."""
        return self._asked

    def end(self, error: dict[str, str]) -> None:
        """A worker met an error that no restart mends."""
        self._ended = self._ended or error

    def ended(self) -> dict[str, str] | None:
        """It, if there was one."""
        return self._ended


class ChannelReporter:
    """Rank 0's listener, which sends to the driver; looks beside the training for what is asked. Use as a context.

    Of the embedding pass it sends nothing: the driver has reported that.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._asked, self._closed = "", threading.Event()

    def __enter__(self) -> "ChannelReporter":
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        ray.get(self._channel.asked.remote())  # calls are answered in order: everything that was sent has arrived

    def report(self, event: JobEvent) -> None:
        """Sends it."""
        if not isinstance(event, EncodeReport):
            self._channel.send.remote(event)

    def check(self) -> None:
        """Raises CancelledError when the job was cancelled."""
        if self._asked == CANCEL:
            raise CancelledError("the job was cancelled")

    def stopping(self) -> bool:
        """Whether the job is to pause at its next checkpoint."""
        return self._asked == PAUSE

    def _look(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS) and self._asked != CANCEL:
            self._asked = ray.get(self._channel.asked.remote())
