"""The way between rank 0 and the driver: an actor that hears what the one says, and tells it what the other wants."""

import threading
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headstart_server.core.errors import CancelledError
from headstart_server.engines.ray.cluster import no_cluster_named
from headstart_server.engines.relay import Relay

_CANCEL_SECONDS = 0.5


def start_ears() -> Any:
    """Starts an actor on this machine that hears what rank 0 says."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Ears).options(num_cpus=0, scheduling_strategy=here).remote()


def require_hearing(ears: Any) -> None:
    """Raises FailedPreconditionError where they could not be started."""
    with no_cluster_named("has no Headstart of this version in its Python"):
        ray.get(ears.published.remote())


class Ears:
    """What rank 0 says, kept until the driver asks; and what the driver has to tell the workers."""

    def __init__(self) -> None:
        self._said: list[tuple[str, dict[str, Any]]] = []
        self._published = ""
        self._cancelled = False
        self._ended: dict[str, str] | None = None

    def hear(self, kind: str, said: dict[str, Any]) -> None:
        """Takes note of one report."""
        self._said.append((kind, said))
        if kind == "model":
            self._published = said["identifier"]

    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        """Everything since the last call."""
        said, self._said = self._said, []
        return said

    def published(self) -> str:
        """The model's id, once there is one."""
        return self._published

    def cancel(self) -> None:
        """The job is to stop."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether it is."""
        return self._cancelled

    def end(self, error: dict[str, str]) -> None:
        """A worker met an error that no restart mends."""
        self._ended = self._ended or error

    def ended(self) -> dict[str, str] | None:
        """It, if there was one."""
        return self._ended


class Speaker:
    """Rank 0's way to the driver's ears; looks for a cancellation beside the training. Use as a context."""

    def __init__(self, ears: Any) -> None:
        self._ears = ears
        self._cancelled, self._closed = threading.Event(), threading.Event()

    def __enter__(self) -> Relay:
        threading.Thread(target=self._look, daemon=True).start()
        return Relay(lambda kind, said: self._ears.hear.remote(kind, said), self._check)

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        ray.get(self._ears.cancelled.remote())  # calls are answered in order: everything that was said has arrived

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise CancelledError("the job was cancelled")

    def _look(self) -> None:
        while not self._closed.wait(_CANCEL_SECONDS):
            if ray.get(self._ears.cancelled.remote()):
                self._cancelled.set()
                return
