"""The embedding pass on a Ray cluster: a pool of actors, by Ray Data.

Pieces of work stream through the pool; a node that is lost takes only pieces with it that others do again.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset

from headstart_server.core.errors import HeadstartError, StorageError, TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.encoding.encode_pool import EncodeResult, EncodeTask, pieces
from headstart_server.engines.encode_worker import EncodeWorker
from headstart_server.engines.envelopes import JobEnvelope
from headstart_server.engines.ray.cluster import brief
from headstart_server.engines.ray.nodes import Lookout
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.planning.backend import BackendPlan

_POLL_SECONDS = 0.2
_RESTARTS = 5
"""How often each process is started again that dies, as one does whose machine has too little memory. Ray Data would
not stop."""
_STORAGE_WAITS = (5.0, 20.0)
"""Seconds between attempts on a storage that cannot be reached."""


def shared_envelope(envelope: JobEnvelope, runtime: RuntimeContext) -> JobEnvelope:
    """A job as workers get it: with a state directory of their own where the storage is shared otherwise."""
    if runtime.storage.object_store is None:
        return envelope
    return replace(envelope, runtime=envelope.runtime.elsewhere())


class RayEncodePool:
    """As many actors as the job has workers, each with what a worker reserves. They live as long as one pass."""

    def __init__(self, envelope: JobEnvelope, plan: BackendPlan, lookout: Lookout) -> None:
        self._envelope, self._plan, self._lookout = envelope, plan, lookout

    def work(self, task: EncodeTask, rows: npt.NDArray[np.int64], check: Callable[[], None]) -> Iterator[EncodeResult]:
        """See EncodePool."""
        stream = ResultStream(self._dataset(task, pieces(rows, self._plan.workers)))
        stream.start()

        def look() -> None:
            check()
            self._lookout.look()

        while (found := stream.next(look)) is not None:
            yield found

    def _dataset(self, task: EncodeTask, work: list[npt.NDArray[np.int64]]) -> Dataset:
        context = DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        others = dict(self._plan.resources)
        cpus, gpus, memory = others.pop("CPU"), others.pop("GPU", None), others.pop("memory", None)
        return ray.data.from_arrow([pa.table({"row": rows}) for rows in work]).map_batches(
            _Actor,
            # the task by reference, for it holds the keys of all images
            fn_constructor_args=(self._envelope, ray.put(task), self._plan.use_gpu, cpus),
            batch_size=len(work[0]),  # one piece; None is refused for GPUs
            batch_format="pyarrow",
            compute=ActorPoolStrategy(
                min_size=min(self._plan.least_workers, len(work)), max_size=min(self._plan.workers, len(work))
            ),
            num_cpus=cpus,
            num_gpus=gpus,
            memory=memory,
            resources=others or None,
            max_restarts=_RESTARTS,
        )


class _Actor:
    """One process of the pool."""

    def __init__(self, envelope: JobEnvelope, task: Any, use_gpu: bool, cpus: float) -> None:
        self._encode_worker: EncodeWorker | HeadstartError
        try:
            self._encode_worker = EncodeWorker(envelope, ray.get(task), use_gpu=use_gpu, cores=max(1, int(cpus)))
        except StorageError:
            raise
        except HeadstartError as error:  # the answer to the first piece
            self._encode_worker = error
        self._name = ray.get_runtime_context().get_actor_id()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Does one piece of work; an error that no other process would escape is an answer, too."""
        try:
            return packed(self._patiently(batch["row"].to_numpy()))
        except HeadstartError as error:
            said = {"message": error.message, "reason": error.reason, "field": error.field}
            return pa.table({"result": [""], "error": [json.dumps(said)], "rows": [b""]})

    def _patiently(self, rows: npt.NDArray[np.int64]) -> EncodeResult:
        """Tries again where the shared storage could not be reached; what was published is then encoded twice."""
        if isinstance(self._encode_worker, HeadstartError):
            raise self._encode_worker
        for wait in _STORAGE_WAITS:
            try:
                return self._encode_worker(rows, self._name)
            except StorageError:
                time.sleep(wait)
        return self._encode_worker(rows, self._name)


def packed(result: EncodeResult) -> pa.Table:
    # pairs, for keys of JSON's objects are text, and rows are numbers
    plain = {**asdict(replace(result, rows=result.rows[:0])), "rows": [], "bad": list(result.bad.items())}
    return pa.table({"result": [json.dumps(plain)], "error": [""], "rows": [result.rows.tobytes()]})


def unpacked(batch: pa.Table) -> EncodeResult:
    """Raises TrainingFailedError where the answer is one."""
    [row] = batch.to_pylist()
    if row["error"]:
        raise TrainingFailedError(**json.loads(row["error"]))
    plain = json.loads(row["result"])
    return EncodeResult(**{**plain, "rows": np.frombuffer(row["rows"], np.int64), "bad": dict(plain["bad"])})


class ResultStream(threading.Thread):
    """Reads a data set as it is computed, beside a thread that has to look up now and then."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(daemon=True)
        self._dataset = dataset
        self._found: queue.Queue[pa.Table | Exception | None] = queue.Queue()

    def run(self) -> None:
        """Reads."""
        try:
            for batch in self._dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
                self._found.put(batch)
            self._found.put(None)
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits for this one
            self._found.put(error)

    def next(self, check: Callable[[], None]) -> EncodeResult | None:
        """The result of the next piece of work; None at the end. Raises TrainingFailedError, or what `check` does."""
        while True:
            check()
            try:
                found = self._found.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(found, Exception):
                raise TrainingFailedError(
                    f"the embedding pass failed: {brief(found)}", reason=Reason.WORKERS_FAILED
                ) from found
            return None if found is None else unpacked(found)
