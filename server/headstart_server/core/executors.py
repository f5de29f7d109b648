"""Threads by purpose, each with a bound, so that slow work of one kind never holds up quick work of another, nor all
the slow work of one tenant that of others."""

import asyncio
import contextvars
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from headstart_server.core.errors import OverloadedError
from headstart_server.core.fair_queue import FairQueue
from headstart_server.core.principal import known_caller

P = ParamSpec("P")
T = TypeVar("T")
_START_SECONDS = 60.0


class Executor:
    """Some threads, and a line before them that is no longer than a bound."""

    def __init__(self, name: str, threads: int, most_waiting: int) -> None:
        self.name, self.most, self._count = name, threads + most_waiting, threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self.calls = 0
        """Those that run and those that wait."""

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a function on one of the threads, with the caller's context variables.

        A call whose caller is cancelled before its turn is never made. Raises OverloadedError where the line is full.
        """
        if self._is_full():
            message = f"{self.calls} calls wait for the server's {self.name} threads already; try again later"
            raise OverloadedError(message)
        # only the event loop counts, which needs no lock
        self.calls += 1
        try:
            # run_in_executor hands no context on, unlike asyncio.to_thread: logs would lack the ids that were bound
            return await self._called(partial(contextvars.copy_context().run, function, *args, **kwargs))
        finally:
            self.calls -= 1

    def _is_full(self) -> bool:
        return self.calls >= self.most

    async def _called(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def start(self) -> None:
        """Starts all threads, and waits for them. Otherwise they would come one by one, whenever more calls than ever
        before run at a time, so that a server grew for hours."""
        started = threading.Barrier(self._count + 1)
        for _ in range(self._count):
            self._threads.submit(started.wait, _START_SECONDS)
        started.wait(_START_SECONDS)

    def close(self) -> None:
        """Lets running calls end; those that wait are never made."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(eq=False)
class _Waiting:
    """A call before its turn."""

    tenant: str
    turn: "asyncio.Future[None]"


class FairExecutor(Executor):
    """Threads for slow calls, in which tenants take turns.

    Args:
        name: What its line is called.
        threads: For all tenants.
        most_waiting: Calls that wait, of all tenants; one with less than its share of them may always add to them.
        spare: Further threads, each for a tenant of which none runs while others hold the rest.
    """

    def __init__(self, name: str, threads: int, most_waiting: int, spare: int) -> None:
        super().__init__(name, threads + spare, most_waiting)
        self._common = threads
        self._line: FairQueue[_Waiting] = FairQueue()
        self._own: Counter[str] = Counter()
        """Calls by tenant."""
        self._running: Counter[str] = Counter()

    def _is_full(self) -> bool:
        tenants = len(self._own.keys() | {_tenant()})
        return super()._is_full() and self._own[_tenant()] >= self.most // tenants

    async def _called(self, call: Callable[[], T]) -> T:
        tenant, loop = _tenant(), asyncio.get_running_loop()
        waiting = _Waiting(tenant, loop.create_future())
        self._own[tenant] += 1
        try:
            self._line.add(tenant, waiting)
            self._begin_next()
            try:
                await waiting.turn
            except asyncio.CancelledError:
                self._line.remove({waiting})
                if waiting.turn.done() and not waiting.turn.cancelled():  # its turn came just then
                    self._leave(tenant)
                raise
            try:
                running = self._threads.submit(call)
            except RuntimeError:  # they are closed
                self._leave(tenant)
                raise

            def leave(_: object) -> None:
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._leave, tenant)

            # a call whose caller has gone holds its thread until it ends
            running.add_done_callback(leave)
            return await asyncio.wrap_future(running)
        finally:
            self._own[tenant] -= 1
            if not self._own[tenant]:
                del self._own[tenant]

    def _begin_next(self) -> None:
        """Gives turns to those whose threads are free."""
        while (found := self._next()) is not None:
            self._line.remove({found})
            if not found.turn.cancelled():  # its caller went in this turn of the loop, and has not come to remove it
                self._running[found.tenant] += 1
                found.turn.set_result(None)

    def _next(self) -> _Waiting | None:
        running = self._running.total()
        if running >= self._count:
            return None
        return next((each for each in self._line if running < self._common or not self._running[each.tenant]), None)

    def _leave(self, tenant: str) -> None:
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        self._begin_next()


def _tenant() -> str:
    """Whose call it is; the server's own work is the default tenant's."""
    caller = known_caller()
    return caller.tenant if caller is not None else ""


class Executors:
    """Those of one server."""

    def __init__(self) -> None:
        cores = os.cpu_count() or 1
        self.store = Executor("store", 4, 10_000)
        """The job database: milliseconds each."""
        self.reports = Executor("report", 2, 20_000)
        """What running jobs report, to the same database: of clients' calls only cancellations stand in this line."""
        self.leases = Executor("lease", 2, 1_000)
        """Claiming jobs and holding on to them, which must not wait for anything else."""
        self.files = FairExecutor("file", 8, 1_000, spare=4)
        """Reading, writing, listing and converting files."""
        self.rows = Executor("row", cores, 1_000)
        """Parsing, checking and tokenising the rows of requests."""
        self.embedding = FairExecutor("embedding", 16, 500, spare=4)
        """Embedding rows: most of the time they wait for their turn to compute."""
        self.planning = FairExecutor("planning", 2, 200, spare=1)
        """Reading a job's data before there is a job: up to a minute."""
        self.loading = FairExecutor("loading", 2, 1_000, spare=1)
        """Loading models: seconds."""
        self.credentials = Executor("credential", 2, 100)
        """Reading changed files of tokens and TLS again, and fetching an issuer's keys: it may not answer."""
        self.probes = Executor("probe", 2, 100)
        """Trying what the server cannot do without: slow work of other kinds must not look as if it were away."""

    @property
    def all(self) -> tuple[Executor, ...]:
        """Each of them."""
        return (
            self.store,
            self.reports,
            self.leases,
            self.files,
            self.rows,
            self.embedding,
            self.planning,
            self.loading,
            self.credentials,
            self.probes,
        )

    def start(self) -> None:
        """Starts the threads of all of them."""
        for executor in self.all:
            executor.start()

    def close(self) -> None:
        """Ends all of them."""
        for executor in self.all:
            executor.close()
