"""The sinks of one followed job. One that fails is told of once and left out; the others, and the following, go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from threading import Lock

from headstart.errors import HeadstartError, SinkFailed
from headstart.sinks.sink import Sink
from headstart.v1.training_pb2 import TrainJob, TrainJobEvent

LOGGER = logging.getLogger("headstart.sinks")


class Recorder:
    """Writes events to any number of sinks.

    Attributes:
        failures: of sinks that failed, in order.
        begun: whether the sinks know their job.
    """

    def __init__(self, sinks: Iterable[Sink] = ()) -> None:
        self._sinks = list(sinks)
        self._name = ""
        self._lock = Lock()  # whoever lets go of an async run closes it while a thread may still write
        self.failures: list[SinkFailed] = []
        self.begun = not self._sinks

    @property
    def is_active(self) -> bool:
        """Tell whether a sink is left."""
        return bool(self._sinks)

    def check(self) -> None:
        """Ask every sink whether it can be written to.

        Raises:
            SinkFailed: one cannot; or whatever HeadstartError it raises.
        """
        for sink in self._sinks:
            try:
                sink.check()
            except HeadstartError:
                raise
            except Exception as error:
                raise SinkFailed(f"{sink.title} ({sink.option}): {_reason(error)}; nothing was started") from error

    def begin(self, job: TrainJob) -> None:
        """Tell the sinks of their job."""
        self.begun, self._name = True, job.name
        self._each(lambda sink: sink.begin(job))

    def take(self, event: TrainJobEvent) -> None:
        """Write an event."""
        self._each(lambda sink: sink.take(event))

    def close(self) -> None:
        """Have every sink write what waits. Nothing is taken from then on; closing again does nothing."""
        if self._name:
            self._each(lambda sink: sink.close())
        self._sinks = []

    def _each(self, act: Callable[[Sink], None]) -> None:
        with self._lock:
            for sink in tuple(self._sinks):
                try:
                    act(sink)
                except Exception as error:  # noqa: BLE001  (whatever a sink's library raises is the sink's alone; it is told)
                    self._leave_out(sink, error)

    def _leave_out(self, sink: Sink, error: Exception) -> None:
        self._sinks.remove(sink)
        sink.abandon()
        again = f"`headstart watch {self._name} {sink.option}` writes what is missing"
        failure = SinkFailed(f"{sink.title} failed: {_reason(error)}. {self._name} goes on without it; {again}")
        failure.__cause__ = error
        self.failures.append(failure)
        LOGGER.warning(failure.message)


def _reason(error: Exception) -> str:
    """Return the first line of an error, with its class where the line alone says little."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]:.300}" if lines else type(error).__name__
