"""Times and counts calls, by whichever transport they come."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from headstart_server import metrics
from headstart_server.core.errors import HeadstartError
from headstart_server.rpc.errors import status_of


class MeasuredCall:
    """One call of an RPC, from when it is made."""

    def __init__(self, service: str, method: str) -> None:
        self._service, self._method = service, method
        self._start = time.perf_counter()
        metrics.RPCS_IN_FLIGHT.labels(service, method).inc()

    def end(self, code: grpc.StatusCode) -> float:
        """Counts it; returns the seconds that it took."""
        seconds = time.perf_counter() - self._start
        metrics.RPCS_IN_FLIGHT.labels(self._service, self._method).dec()
        metrics.RPCS.labels(self._service, self._method, code.name).inc()
        metrics.RPC_SECONDS.labels(self._service, self._method).observe(seconds)
        return seconds


@contextmanager
def measured(service: str, method: str) -> Iterator[None]:
    """Counts what runs within as one call, by the status that its errors stand for."""
    call, code = MeasuredCall(service, method), grpc.StatusCode.INTERNAL
    try:
        yield
        code = grpc.StatusCode.OK
    except HeadstartError as error:
        code = status_of(error)[0]
        raise
    except (asyncio.CancelledError, GeneratorExit):
        code = grpc.StatusCode.CANCELLED
        raise
    finally:
        call.end(code)
