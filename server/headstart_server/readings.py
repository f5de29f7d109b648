"""Metrics that are read when somebody scrapes: of files, of the database, of other processes."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
from prometheus_client import REGISTRY, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from headstart_server.metrics import READING_FAILURES, Definition

_log = structlog.get_logger()
_PATIENCE_SECONDS = 2.0
_STALE_SECONDS = 60.0
Reading = tuple[Definition, tuple[str, ...], float]
"""A metric, the values of its labels, and its value."""


class Readings(Collector):
    """Gauges that one source knows, read when somebody scrapes, and once in `seconds` at most.

    A source that does not answer for two seconds, as a database that is away, holds no scrape up, which would take all
    other metrics with it: the scrape has its last reading for a minute, and nothing of it from then on.
    """

    def __init__(self, source: str, read: Callable[[], Iterable[Reading]], seconds: float = 0.0) -> None:
        self.source, self._read, self._seconds = source, read, seconds
        self._lock = threading.Lock()
        self._time = float("-inf")
        self._last: list[Reading] = []
        self._missing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reading")
        self._asked: Future[list[Reading]] | None = None

    def describe(self) -> list[Metric]:
        """Nothing: else the registry would take a reading to learn the names."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Those of the last reading, where it is young, else of another."""
        with self._lock:
            if time.monotonic() - self._time >= self._seconds:
                self._renew()
            last = self._last
        families: dict[Definition, GaugeMetricFamily] = {}
        for definition, labels, value in last:
            if definition not in families:
                families[definition] = GaugeMetricFamily(definition.name, definition.text, labels=definition.labels)
            families[definition].add_metric(labels, value)
        yield from families.values()

    def close(self) -> None:
        """Ends the thread of the readings, once what it reads has been read."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _renew(self) -> None:
        # one that hangs since an earlier scrape is not asked again
        if self._asked is None:
            self._asked = self._thread.submit(self._taken)
        try:
            self._last, self._time = self._asked.result(_PATIENCE_SECONDS), time.monotonic()
            self._asked, self._missing = None, False
        except TimeoutError:
            if not self._missing and time.monotonic() - self._time > _STALE_SECONDS:
                _log.error("a metric cannot be read", source=self.source, error="its source does not answer")
                self._last, self._missing = [], True
            READING_FAILURES.labels(self.source).inc()

    def _taken(self) -> list[Reading]:
        try:
            return list(self._read())
        except Exception:  # noqa: BLE001 - one source that fails must not take all others with it
            _log.exception("a metric cannot be read", source=self.source)
            READING_FAILURES.labels(self.source).inc()
            return []


def register(*readings: Readings) -> None:
    """Adds readings to every scrape."""
    # a series beside each counter that says when it began, which nobody asks for
    disable_created_metrics()  # type: ignore[no-untyped-call]
    for source in readings:
        READING_FAILURES.labels(source.source)  # from 0 on, so that the first failure is an increase
        REGISTRY.register(source)


def unregister(*readings: Readings) -> None:
    """Takes readings out of the scrapes."""
    for source in readings:
        REGISTRY.unregister(source)
        source.close()
