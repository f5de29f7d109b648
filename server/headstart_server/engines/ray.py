"""The Ray engine: one job on the workers of a Ray cluster, by Ray Train. The only module that imports ray.

The server's worker process is the driver: it prepares the job, fills the store, and tells the server what the workers
say. Every worker reads the rows by itself and trains its part of each batch; rank 0 publishes.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import ray
import ray.exceptions
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchConfig, TorchTrainer

from headstart_server.core.errors import CancelledError, FailedPreconditionError, HeadstartError
from headstart_server.core.errors import TrainingFailedError as JobFailedError
from headstart_server.engines.assignment import Assignment
from headstart_server.engines.member import train_together
from headstart_server.engines.preparing import prepare_job, stored_inputs
from headstart_server.engines.workplace import Listener, RowCounts, Silent, Workplace
from headstart_server.model.world import World
from headstart_server.planning.backend import BackendPlan
from headstart_server.planning.resolution import Origin, ResolvedValue
from headstart_server.spec.model import TrainSpec
from headstart_server.training.reports import EpochReport, StepReport

_POLL_SECONDS = 0.2
_CANCEL_SECONDS = 0.5
_COLLECTIVE_SECONDS = 300
"""A process that has waited this long for the others gives up, and Ray starts all of them again."""
_RESTARTS = 3


class RayEngine:
    """Runs one assignment on a cluster. `job` is the assignment as plain values, as it travels to the workers."""

    def __init__(self, job: dict[str, Any], assignment: Assignment, workplace: Workplace, listener: Listener) -> None:
        self._job, self._assignment, self._workplace, self._listener = job, assignment, workplace, listener

    def run(self) -> str:
        """Prepares, encodes, trains and publishes; returns the model's id. Raises HeadstartError."""
        self._listener.state("PREPARING")
        with _cluster(self._job.get("ray_address", "")):
            prepared = prepare_job(self._assignment, self._workplace, self._listener)
            self._require_resources(prepared.backend)
            stored_inputs(prepared, self._workplace, self._listener)
            self._listener.state("TRAINING")
            return self._train(prepared.backend)

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

    def _train(self, plan: BackendPlan) -> str:
        ears = ray.remote(_Ears).options(num_cpus=0).remote()
        trainer = TorchTrainer(
            _member,
            train_loop_config={"job": self._job, "strategy": plan.strategy, "ears": ears},
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
        fit = _Fit(trainer)
        fit.start()
        while fit.is_alive():
            fit.join(_POLL_SECONDS)
            self._hear(ears)
        self._hear(ears)
        return self._outcome(fit, ray.get(ears.ended.remote()))

    def _hear(self, ears: Any) -> None:
        """Passes on what rank 0 said, and a cancellation to it."""
        for kind, arguments in ray.get(ears.heard.remote()):
            getattr(self._listener, kind)(*_opened(kind, arguments))
        try:
            self._listener.check()
        except CancelledError:
            ears.cancel.remote()

    def _outcome(self, fit: "_Fit", ended: dict[str, str] | None) -> str:
        if ended is not None and ended["reason"] == CancelledError.reason:
            raise CancelledError("the job was cancelled")
        if ended is not None:
            raise JobFailedError(ended["message"], reason=ended["reason"], field=ended["field"])
        if fit.error is not None:
            raise JobFailedError(
                f"the workers failed {_RESTARTS + 1} times, last with: {_brief(fit.error)}", reason="WORKERS_FAILED"
            ) from fit.error
        assert isinstance(fit.model, str)
        return fit.model


class _Fit(threading.Thread):
    """Ray Train's run, which blocks, beside the thread that listens."""

    def __init__(self, trainer: TorchTrainer) -> None:
        super().__init__(daemon=True)
        self._trainer = trainer
        self.model: str | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        """Fits."""
        try:
            self.model = self._trainer.fit().return_value
        except (TrainingFailedError, ray.exceptions.RayError) as error:
            self.error = error


class _Ears:
    """What rank 0 says, kept until the driver asks; and what the driver has to tell the workers."""

    def __init__(self) -> None:
        self._said: list[tuple[str, dict[str, Any]]] = []
        self._cancelled = False
        self._ended: dict[str, str] | None = None

    def hear(self, kind: str, arguments: dict[str, Any]) -> None:
        """Takes note of one report."""
        self._said.append((kind, arguments))

    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        """Everything since the last call."""
        said, self._said = self._said, []
        return said

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


def _member(config: dict[str, Any]) -> str:
    """One worker's part. A job that has ended for good is not begun again after a restart."""
    ears, world = config["ears"], World.joined()
    if ray.get(ears.ended.remote()) is not None:
        return ""
    speaker = _Speaker(ears) if world.leads else None
    try:
        return train_together(config["job"], world, config["strategy"], speaker or Silent())
    except HeadstartError as error:
        ray.get(ears.end.remote({"reason": error.reason, "message": error.message, "field": error.field}))
        if isinstance(error, CancelledError):  # every worker leaves at the same step
            return ""
        raise
    finally:
        if speaker is not None:
            speaker.close()


class _Speaker(Silent):
    """Rank 0's listener: tells the driver's ears, and looks for a cancellation beside the training."""

    def __init__(self, ears: Any) -> None:
        self._ears = ears
        self._cancelled, self._closed = threading.Event(), threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def close(self) -> None:
        """Stops looking, once everything that was said has arrived."""
        self._closed.set()
        ray.get(self._ears.cancelled.remote())

    def check(self) -> None:
        """Raises CancelledError when the job was cancelled."""
        if self._cancelled.is_set():
            raise CancelledError("the job was cancelled")

    def state(self, state: str) -> None:
        """Tells it."""
        self._say("state", state=state)

    def resolved(self, spec: TrainSpec, values: Sequence[ResolvedValue], rows: RowCounts) -> None:
        """Tells it."""
        self._say("resolved", spec=spec.compact(), values=[asdict(value) for value in values], rows=asdict(rows))

    def step(self, report: StepReport) -> None:
        """Tells it."""
        self._say("step", report=asdict(report))

    def epoch(self, report: EpochReport) -> None:
        """Tells it."""
        self._say("epoch", report=asdict(report))

    def warning(self, reason: str, message: str) -> None:
        """Tells it."""
        self._say("warning", reason=reason, message=message)

    def model(self, identifier: str, report: EpochReport) -> None:
        """Tells it."""
        self._say("model", identifier=identifier, report=asdict(report))

    def _say(self, kind: str, **arguments: Any) -> None:
        self._ears.hear.remote(kind, arguments)

    def _look(self) -> None:
        while not self._closed.wait(_CANCEL_SECONDS):
            if ray.get(self._ears.cancelled.remote()):
                self._cancelled.set()
                return


def _opened(kind: str, arguments: dict[str, Any]) -> tuple[Any, ...]:
    """What a listener's method takes, from plain values."""
    match kind:
        case "resolved":
            values = [ResolvedValue(**{**value, "origin": Origin(value["origin"])}) for value in arguments["values"]]
            return TrainSpec.model_validate(arguments["spec"]), values, RowCounts(**arguments["rows"])
        case "step":
            return (StepReport(**arguments["report"]),)
        case "epoch":
            return (EpochReport(**arguments["report"]),)
        case "model":
            return arguments["identifier"], EpochReport(**arguments["report"])
        case _:
            return tuple(arguments.values())


@contextmanager
def _cluster(address: str) -> Iterator[None]:
    """Joins the cluster at an address, or that of RAY_ADDRESS, or starts one on this machine for as long as the job."""
    address = address or os.environ.get("RAY_ADDRESS", "") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            address=address,
            namespace="headstart",
            log_to_driver=False,
            logging_level=logging.WARNING,
            **({"include_dashboard": False} if address == "local" else {}),
        )
    except (ConnectionError, RuntimeError) as error:
        raise FailedPreconditionError(
            f"the Ray cluster at {address!r} cannot be joined: {_brief(error)}", reason="NO_CLUSTER", field="backend"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _brief(error: Exception) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
