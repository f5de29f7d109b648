"""The Ray engine: one job on the workers of a Ray cluster, by Ray Train. The only module that imports ray.

The server's worker process is the driver: it prepares the job, fills the store, and tells the server what the workers
say. Every worker reads the rows by itself and trains its part of each batch; rank 0 publishes.
"""

import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import ray
import ray.exceptions
from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headstart_server.core.errors import CancelledError, FailedPreconditionError, HeadstartError
from headstart_server.core.errors import TrainingFailedError as JobFailedError
from headstart_server.engines.assignment import Assignment
from headstart_server.engines.member import train_together
from headstart_server.engines.preparing import prepare_job, stored_inputs
from headstart_server.engines.relay import Relay, replay
from headstart_server.engines.workplace import Listener, Silent, Workplace
from headstart_server.model.world import World
from headstart_server.planning.backend import BackendPlan

_POLL_SECONDS = 0.2
_CANCEL_SECONDS = 0.5
_COLLECTIVE_SECONDS = 300
"""A process that has waited this long for the others gives up, and Ray starts all of them again."""
_RESTARTS = 3
_LEAVING_SECONDS = 10.0


class RayEngine:
    """Runs one assignment on a cluster. `job` is the assignment as plain values, as it travels to the workers."""

    def __init__(self, job: dict[str, Any], assignment: Assignment, workplace: Workplace, listener: Listener) -> None:
        self._job, self._assignment, self._workplace, self._listener = job, assignment, workplace, listener

    def run(self) -> str:
        """Prepares, encodes, trains and publishes; returns the model's id. Raises HeadstartError."""
        self._listener.state("PREPARING")
        fit = None
        try:
            with _cluster(self._job.get("ray_address", "")):
                plan = self._prepare()
                self._listener.state("TRAINING")
                ears = _ears()
                fit = _Fit(self._trainer(plan, ears))
                return self._outcome(fit, ears)
        finally:
            if fit is not None:
                fit.join(_LEAVING_SECONDS)

    def _prepare(self) -> BackendPlan:
        """Resolves the job and fills the store; keeps nothing of the data, which every worker reads by itself."""
        prepared = prepare_job(self._assignment, self._workplace, self._listener)
        self._require_resources(prepared.backend)
        stored_inputs(prepared, self._workplace, self._listener)
        return prepared.backend

    def _require_resources(self, plan: BackendPlan) -> None:
        """Raises FailedPreconditionError for more than the cluster will ever have; says what it has to wait for."""
        total, free = ray.cluster_resources(), ray.available_resources()
        for name, each in plan.resources:
            amount = each * plan.workers
            if amount > total.get(name, 0.0):
                raise FailedPreconditionError(
                    f"{plan.workers} workers need {amount:g} {name}, and the Ray cluster has {total.get(name, 0.0):g}; "
                    f"lower backend.trainer.num_workers or resources_per_worker.{name}, or add nodes",
                    reason="CLUSTER_TOO_SMALL",
                    field="backend.trainer.num_workers",
                )
            if amount > free.get(name, 0.0):
                self._listener.warning(
                    "WAITING_FOR_RESOURCES",
                    f"{plan.workers} workers need {amount:g} {name}, and {free.get(name, 0.0):g} are free now; the job "
                    "waits until others have ended",
                )

    def _trainer(self, plan: BackendPlan, ears: Any) -> TorchTrainer:
        return TorchTrainer(
            _member,
            train_loop_config={"job": self._job, "plan": plan, "ears": ears},
            scaling_config=ScalingConfig(
                num_workers=plan.workers, use_gpu=plan.use_gpu, resources_per_worker=dict(plan.resources)
            ),
            run_config=RunConfig(
                name=self._assignment.identifier,
                storage_path=str(self._workplace.layout.job(self._assignment.identifier) / "ray"),
                failure_config=FailureConfig(max_failures=_RESTARTS),
            ),
            torch_config=TorchConfig(
                backend="cpu:gloo,cuda:nccl" if plan.use_gpu else "gloo", timeout_s=_COLLECTIVE_SECONDS
            ),
        )

    def _outcome(self, fit: "_Fit", ears: Any) -> str:
        """Listens until the workers are done, or one of them has met an error that no restart mends."""
        fit.start()
        ended = None
        while fit.is_alive() and ended is None:
            fit.join(_POLL_SECONDS)
            self._hear(ears)
            ended = ray.get(ears.ended.remote())
        self._hear(ears)
        published: str = ray.get(ears.published.remote())
        if published:
            return published
        if ended is not None and ended["reason"] == CancelledError.reason:
            raise CancelledError("the job was cancelled")
        if ended is not None:
            raise JobFailedError(ended["message"], reason=ended["reason"], field=ended["field"])
        if isinstance(fit.error, WorkerGroupError):
            raise JobFailedError(
                f"the workers failed {_RESTARTS + 1} times, last with: {_brief(fit.error)}", reason="WORKERS_FAILED"
            ) from fit.error
        raise fit.error or AssertionError("the workers ended without a model and without an error")

    def _hear(self, ears: Any) -> None:
        """Passes on what rank 0 said, and a cancellation to it."""
        for kind, said in ray.get(ears.heard.remote()):
            with suppress(CancelledError):  # heard of again below
                replay(self._listener, kind, said)
        try:
            self._listener.check()
        except CancelledError:
            ears.cancel.remote()


def _ears() -> Any:
    """An actor on this machine that hears what rank 0 says."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    ears = ray.remote(_Ears).options(num_cpus=0, scheduling_strategy=here).remote()
    with _no_cluster_named("has no Headstart of this version in its Python"):
        ray.get(ears.published.remote())
    return ears


class _Fit(threading.Thread):
    """Ray Train's run, which blocks, beside the thread that listens."""

    def __init__(self, trainer: TorchTrainer) -> None:
        super().__init__(daemon=True)
        self._trainer = trainer
        self.error: Exception | None = None

    def run(self) -> None:
        """Fits."""
        try:
            self._trainer.fit()
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits for this one
            self.error = error


class _Ears:
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


def _member(config: dict[str, Any]) -> None:
    """One worker's part. A job that has ended, well or for good, is not begun again after a restart."""
    ears, world = config["ears"], World.joined()
    if any(ray.get([ears.published.remote(), ears.ended.remote()])):
        return
    try:
        with _Speaker(ears) if world.leads else nullcontext(Silent()) as listener:
            train_together(config["job"], world, config["plan"], listener)
    except HeadstartError as error:
        ray.get(ears.end.remote({"reason": error.reason, "message": error.message, "field": error.field}))
        if not isinstance(error, CancelledError):  # every worker leaves at the same step
            raise


class _Speaker:
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


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    """Joins the cluster at an address, or that of RAY_ADDRESS, or starts one on this machine for as long as the job."""
    address = address or os.environ.get("RAY_ADDRESS", "") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with tempfile.TemporaryDirectory(prefix="headstart-ray-", ignore_cleanup_errors=True) as logs:
        own = {"include_dashboard": False, "_temp_dir": logs} if address == "local" else {}
        with _no_cluster_named(f"at {address!r} cannot be joined"):
            ray.init(address=address, namespace="headstart", log_to_driver=False, logging_level=logging.WARNING, **own)
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _no_cluster_named(what: str) -> Iterator[None]:
    """Raises FailedPreconditionError for a cluster that cannot be used."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        message = f"the Ray cluster {what}: {_brief(error)}"
        raise FailedPreconditionError(message, reason="NO_CLUSTER", field="backend") from error


def _brief(error: Exception) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
