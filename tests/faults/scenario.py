"""One seeded run: clients upload, train, watch, repeat themselves and cancel, while everything else breaks."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import headstart
from headstart.v1 import training_pb2 as pb

from tests.faults.history import Created, Ending, History, Seen
from tests.faults.world import LEASE_SECONDS, World, kill
from tests.support import reviews

# what `auto` finds faster is measured, and may come out otherwise while other runs are beside this one
_IN_FP32 = {"defaults": {"text": {"preprocessing": {"embedding_precision": "fp32"}}}}
SPECS = {
    "short": {**reviews.spec(epochs=40, early_stop=-1), **_IN_FP32},
    "long": {**reviews.spec(epochs=150, early_stop=-1), **_IN_FP32},
}
ROWS = reviews.columns(reviews.make_rows(3), "review", "price", "category")
_ENDED = (pb.TrainJob.STATE_SUCCEEDED, pb.TrainJob.STATE_FAILED, pb.TrainJob.STATE_CANCELLED)
_SECONDS = 150.0
T = TypeVar("T")
P = ParamSpec("P")


class Scenario:
    """What happens is drawn from the seed; when it meets what the servers do, is up to the machine."""

    def __init__(self, world: World, seed: int, history: History) -> None:
        self._world, self._seed = world, seed
        self._random = random.Random(seed)
        self.history = history
        self.injected: list[str] = []

    def run(self) -> Ending:
        """Breaks things while clients work, then lets everything end, and looks."""
        jobs = [self._random.choice(["short", "long", "long"]) for _ in range(self._random.randint(1, 3))]
        faults = [self._draw_fault() for _ in range(self._random.randint(1, 3))]
        clients = [
            _Beside(self._client, number, spec, random.Random(f"{self._seed}/{number}"))
            for number, spec in enumerate(jobs)
        ]
        for each in (_Beside(self._inject, faults), *clients):
            each.result(_SECONDS)
        return self._look()

    # What clients do

    def _client(self, number: int, spec: str, draws: random.Random) -> None:
        """Uploads, trains by a request that is sent again, watches in pieces, and perhaps cancels."""
        with self._world.client(draws.randrange(8)) as client, self._world.client(draws.randrange(8)) as other:
            data: headstart.ServerPath | str = headstart.ServerPath("reviews.csv")
            if draws.random() < 0.5:
                data = self._uploaded(client, number)
            request_id = str(UUID(int=draws.getrandbits(128)))
            for sender in [client, other, client][: draws.randint(1, 3)]:
                name = insisted(self._submitted, sender, spec, data, request_id)
                self.history.created.append(Created(request_id, name, spec))
            cancels, after, ended = draws.random() < 0.2, 0, False
            while not ended:
                watcher, most = draws.choice([client, other]), draws.randint(1, 60)
                after, ended = insisted(self._watched, watcher, name, after, most)
                if cancels and after > 20:
                    cancels = False
                    self.history.cancelled.add(name)
                    # it may have ended before, by itself or by a call whose answer was lost
                    with suppress(headstart.FailedPrecondition):
                        insisted(client.jobs.cancel, name)

    def _submitted(self, client: headstart.Client, spec: str, data: headstart.ServerPath | str, request_id: str) -> str:
        run = client.train(SPECS[spec], data, request_id=request_id)
        run.close()
        return run.name

    def _uploaded(self, client: headstart.Client, number: int) -> str:
        path = self._world.root / f"rows-{self._seed}-{number}.csv"
        reviews.write_csv(path, reviews.make_rows(240))
        dataset = insisted(client.upload_dataset, path)
        self.history.datasets.add(dataset.name)
        return dataset.name

    def _watched(self, client: headstart.Client, job: str, after: int, most: int) -> tuple[int, bool]:
        """Reads some events and drops the stream; returns the last number, and whether the job has ended."""
        seen = Seen(job, after)
        self.history.seen.append(seen)
        for event in client.watch(job, after_sequence=after):
            seen.events.append(event)
            if event.state_change.state in _ENDED:
                return event.sequence, True
            if len(seen.events) >= most:
                break
        return after + len(seen.events), client.jobs.get(job).state in _ENDED and not seen.events

    # What breaks

    def _draw_fault(self) -> tuple[float, Callable[[], None]]:
        index = self._random.randrange(len(self._world.servers))
        length = self._random.uniform(0.2, 2.5 * LEASE_SECONDS)
        kinds = [self._kill_server, self._restart_server, self._stop_server, self._kill_worker, self._stop_worker]
        kind = self._random.choices(kinds, [3, 1, 2, 4, 2])[0]
        return self._random.uniform(0.2, 4.0), lambda: kind(index, length)

    def _inject(self, faults: list[tuple[float, Callable[[], None]]]) -> None:
        for wait, fault in faults:
            time.sleep(wait)
            fault()

    def _kill_server(self, index: int, length: float) -> None:
        server = self._world.servers[index]
        self.injected.append(f"kill -9 of server {index}, back after {length:.1f} s")
        server.kill()
        time.sleep(length)
        server.start()

    def _restart_server(self, index: int, _: float) -> None:
        self.injected.append(f"restart of server {index}")
        self._world.servers[index].stop()
        self._world.servers[index].start()

    def _stop_server(self, index: int, length: float) -> None:
        process = self._world.servers[index].process
        assert process is not None
        self.injected.append(f"SIGSTOP of server {index} for {length:.1f} s")
        kill(process.pid, signal.SIGSTOP)
        time.sleep(length)
        kill(process.pid, signal.SIGCONT)

    def _kill_worker(self, index: int, _: float) -> None:
        for pid in self._world.workers(index)[:1]:
            self.injected.append(f"kill -9 of a worker of server {index}")
            kill(pid, signal.SIGKILL)

    def _stop_worker(self, index: int, length: float) -> None:
        for pid in self._world.workers(index)[:1]:
            self.injected.append(f"SIGSTOP of a worker of server {index} for {length:.1f} s")
            kill(pid, signal.SIGSTOP)
            time.sleep(length)
            kill(pid, signal.SIGCONT)

    # What is there in the end

    def _look(self) -> Ending:
        ending = Ending()
        with self._world.client(0) as client:
            for name in self.history.names:
                ending.logs[name] = list(client.watch(name))
                ending.jobs[name] = client.jobs.get(name)
            ending.models = [model.name for model in client.models.list()]
            ending.datasets = {dataset.name for dataset in client.datasets.list()}
        for index in range(len(self._world.servers)):
            with self._world.client(index) as client:
                for model in ending.models:
                    found = client.predict(model, ROWS)["verdict"].probabilities
                    ending.answers.setdefault(model, []).append([value for row in found for value in row])
        ending.files = self._world.leaked_files(allowed=40)
        return ending


class _Beside(threading.Thread):
    """A call on a thread of its own, which nobody waits for longer than they say: one that hangs is a finding."""

    def __init__(self, call: Callable[..., None], *args: Any) -> None:
        super().__init__(daemon=True)
        self._call, self._args = call, args
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Calls."""
        try:
            self._call(*self._args)
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            self._error = error

    def result(self, seconds: float) -> None:
        """Waits for its end; raises what it raised, or TimeoutError."""
        self.join(seconds)
        if self.is_alive():
            stack = "".join(traceback.format_stack(sys._current_frames()[self.ident or 0])[-6:])
            raise TimeoutError(f"a client hangs:\n{stack}")
        if self._error is not None:
            raise self._error


def insisted(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a call returns once the server that it asks is there; clients of a broken system try again and again."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            return call(*args, **kwargs)
        except headstart.Unavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def unbroken_curves(world: World) -> dict[str, list[pb.TrainJobEvent]]:
    """The logs of all specs where nothing goes wrong."""
    with world.client(0) as client:
        runs = {spec: client.train(values, headstart.ServerPath("reviews.csv")) for spec, values in SPECS.items()}
        return {spec: list(run) for spec, run in runs.items()}
