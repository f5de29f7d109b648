"""The Ray engine: one job on the workers of a Ray cluster, by Ray Train.

The server's worker process is the driver: it prepares the job, fills the store, and passes the workers' reports
on to the server. Every worker reads the rows by itself and trains its part of each batch; rank 0 publishes.
"""

import os
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

import ray
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer

from headstart_server.core.errors import CancelledError, HeadstartError, PausedError
from headstart_server.core.errors import TrainingFailedError as JobFailedError
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.data.dataset import Survey
from headstart_server.data.images.loader import MOST_WORKERS
from headstart_server.encoders.precision import fast_precision, settled_precisions
from headstart_server.engines.envelopes import JobEnvelope, to_plain
from headstart_server.engines.events import StateChange
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.listener import Listener
from headstart_server.engines.preparing import fill_store, prepare_job
from headstart_server.engines.ray.cluster import brief, cluster
from headstart_server.engines.ray.encoding import RayEncodePool, shared_envelope
from headstart_server.engines.ray.nodes import WAITING, Asked, Lookout, asked_nodes, require_able, require_room
from headstart_server.engines.ray.report_channel import CANCEL, PAUSE, require_channel, start_channel
from headstart_server.engines.ray.worker import train_rank
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.planning.backend import BackendPlan
from headstart_server.storage.object_store import RemoteObjectStore
from headstart_server.training.reports import JobWarning

_POLL_SECONDS = 0.2
_RESTARTS = 3
_LEAVING_SECONDS = 10.0
_ASK_SECONDS, _WAIT_SECONDS = 60.0, 30 * 86_400.0
"""For how long Ray waits for room, for an elastic job and for one that is not."""


class RayEngine:
    """Runs one job on a cluster, whose workers open its envelope by themselves."""

    def __init__(self, envelope: JobEnvelope, job: JobContext, runtime: RuntimeContext, listener: Listener) -> None:
        self._envelope, self._job, self._runtime, self._listener = envelope, job, runtime, listener
        self._asked: HeadstartError | None = None
        """Why the workers were asked to stop at their next step."""

    def run(self) -> str:
        """Prepares, encodes, trains and publishes; returns the model's id. Raises HeadstartError."""
        self._listener.report(StateChange(State.PREPARING))
        fit = None
        try:
            with cluster(self._envelope.ray.address):
                # both start while the rows are read, and are waited for in `_prepare`
                channel, asked = start_channel(), asked_nodes()
                plan, survey, lookout = self._prepare(asked, channel)
                self._listener.report(StateChange(State.TRAINING))
                fit = _Fit(self._trainer(plan, survey, channel))
                if (published := self._outcome(fit, channel, lookout)) is not None:
                    return published
                raise _failure(fit.error, plan)
        finally:
            if fit is not None:
                # leaving the cluster has ended the run; its thread takes a moment to notice
                fit.join(_LEAVING_SECONDS)

    def _prepare(self, asked: Asked, channel: Any) -> tuple[BackendPlan, Survey, Lookout]:
        """Resolves the job and has the store filled; keeps nothing of the data, which every worker reads by itself."""
        prepared = prepare_job(self._job, self._runtime, self._listener)
        plan = prepared.plan.backend
        if plan.use_gpu:
            # settles it here, for all workers: each adopts what this process has settled
            fast_precision("cuda")
        settled = replace(self._envelope.runtime, precisions=settled_precisions())
        self._envelope = replace(self._envelope, runtime=settled)
        lookout = Lookout(plan, self._listener, require_room(plan, self._warn, grows=self._envelope.ray.grows))
        require_able(asked, plan.resources)
        require_channel(channel)
        encode_pool = RayEncodePool(shared_envelope(self._envelope, self._runtime), plan, lookout)
        return plan, fill_store(prepared, self._runtime, self._listener, encode_pool), lookout

    def _warn(self, message: str) -> None:
        self._listener.report(JobWarning(WAITING, message))

    def _trainer(self, plan: BackendPlan, survey: Survey, channel: Any) -> TorchTrainer:
        return TorchTrainer(
            train_rank,
            # unpickled before anything of ours runs, when a worker's death is final: plain values and references alone
            train_loop_config={
                "envelope": to_plain(shared_envelope(self._envelope, self._runtime)),
                "plan": plan,
                "survey": ray.put(survey),
                "channel": channel,
                "workers": _workers(plan),
            },
            scaling_config=ScalingConfig(
                num_workers=(plan.least_workers, plan.workers) if plan.elastic else plan.workers,
                use_gpu=plan.use_gpu,
                resources_per_worker=dict(plan.resources),
            ),
            run_config=RunConfig(
                name=self._job.identifier,
                **self._ray_storage(),
                failure_config=_restarts(plan),
            ),
            torch_config=TorchConfig(
                # gloo beside NCCL, for what World exchanges on the CPU
                backend="gloo" if plan.shares_gpus or not plan.use_gpu else "cpu:gloo,cuda:nccl",
                timeout_s=self._envelope.ray.timeout,
            ),
        )

    def _ray_storage(self) -> dict[str, Any]:
        """Where Ray Train keeps what it has to know after a driver's restart."""
        storage, job = self._runtime.storage, f"jobs/{self._job.identifier}/ray"
        if isinstance(storage.object_store, RemoteObjectStore):
            return {"storage_path": storage.object_store.path(job), "storage_filesystem": storage.object_store.arrow()}
        return {"storage_path": f"{storage.url or storage.layout.root}/{job}"}

    def _outcome(self, fit: "_Fit", channel: Any, lookout: Lookout) -> str | None:
        """Listens until the workers are done, or one of them has met an error that no restart mends, which it raises.

        Returns the model's id; None where the workers have failed without such an error.
        """
        fit.start()
        ended = None
        while fit.is_alive() and ended is None:
            fit.join(_POLL_SECONDS)
            self._receive(channel)
            lookout.look()
            ended = ray.get(channel.ended.remote())
        # what was sent between the last look and the end
        self._receive(channel)
        # first: a model that is published stays so, whatever failed afterwards
        if published := ray.get(channel.published.remote()):
            return str(published)
        if ended is not None and ended["reason"] in (CancelledError.reason, PausedError.reason):
            raise self._asked or PausedError("the job was paused")
        if ended is not None:
            raise JobFailedError(ended["message"], reason=ended["reason"], field=ended["field"])
        return None

    def _receive(self, channel: Any) -> None:
        """Passes on what rank 0 reported, and to it what is asked of the job."""
        for event in ray.get(channel.receive.remote()):
            with suppress(CancelledError, PausedError):  # noticed again below
                self._listener.report(event)
        try:
            self._listener.check()
        except (CancelledError, PausedError) as error:
            # one that takes too long to come to a checkpoint stops at its next step, too
            self._asked = error
            channel.ask.remote(CANCEL)
        else:
            if self._listener.stopping():
                channel.ask.remote(PAUSE)


def _failure(error: Exception | None, plan: BackendPlan) -> Exception:
    """What a job says of an error of Ray Train's."""
    if isinstance(error, WorkerGroupError):
        message = f"the workers failed {_RESTARTS + 1} times, last with: {brief(error)}"
    elif isinstance(error, ControllerError):
        require_able(asked_nodes(), plan.resources)  # one that cannot run workers may have joined since
        message = f"the workers could not be started: {brief(error)}"
    else:
        return error or AssertionError("the workers ended without a model and without an error")
    failure = JobFailedError(message, reason=Reason.WORKERS_FAILED)
    failure.__cause__ = error
    return failure


def _restarts(plan: BackendPlan) -> FailureConfig:
    """How often workers may die, training or starting.

    To Ray a start also fails where there is no room for a minute. A job waits for all its workers as long as it takes;
    an elastic one asks anew how many there is room for, and its starts are not counted.
    """
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(_ASK_SECONDS if plan.elastic else _WAIT_SECONDS)
    return FailureConfig(max_failures=_RESTARTS, controller_failure_limit=-1 if plan.elastic else _RESTARTS)


def _workers(plan: BackendPlan) -> int:
    """How many processes load images for all workers together."""
    if plan.image_workers is not None:
        return plan.image_workers
    trained_on = dict(plan.resources).get("CPU", 0.0) * plan.workers
    idle = ray.available_resources().get("CPU", 0.0) - trained_on
    return max(0, min(MOST_WORKERS * plan.workers, int(idle / 2)))


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
