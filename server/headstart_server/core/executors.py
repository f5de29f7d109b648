"""Threads by purpose, each with a bound, so that slow work of one kind never holds up quick work of another."""

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from headstart_server.core.errors import OverloadedError

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
        if self.calls >= self.most:
            message = f"{self.calls} calls wait for the server's {self.name} threads already; try again later"
            raise OverloadedError(message)
        # only the event loop counts, which needs no lock
        self.calls += 1
        try:
            # run_in_executor hands no context on, unlike asyncio.to_thread: logs would lack the ids that were bound
            call = partial(contextvars.copy_context().run, function, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        finally:
            self.calls -= 1

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
        self.files = Executor("file", 8, 1_000)
        """Reading, writing, listing and converting files."""
        self.rows = Executor("row", cores, 1_000)
        """Parsing, checking and tokenising the rows of requests."""
        self.embedding = Executor("embedding", 16, 500)
        """Embedding rows: most of the time they wait for their turn to compute."""
        self.planning = Executor("planning", 2, 200)
        """Reading a job's data before there is a job: up to a minute."""
        self.loading = Executor("loading", 2, 1_000)
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
