"""What a cluster's nodes have room for, and whether they can run Headstart at all."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
import structlog
from ray.exceptions import GetTimeoutError, RaySystemError, RayTaskError, RuntimeEnvSetupError, WorkerCrashedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Notice, Reason
from headstart_server.core.versions import own_version
from headstart_server.engines.listener import Listener
from headstart_server.engines.ray.cluster import brief
from headstart_server.planning.backend import BackendPlan
from headstart_server.training.reports import JobWarning

Resources = tuple[tuple[str, float], ...]
"""What a worker reserves, by Ray's names."""
_BROKEN = (RaySystemError, RayTaskError, RuntimeEnvSetupError, WorkerCrashedError)
_ANSWER_SECONDS = 60.0
_LOOK_SECONDS = 5.0
WAITING = Notice.WAITING_FOR_RESOURCES
_log = structlog.get_logger()


def shortage(plan: BackendPlan) -> str:
    """What a job lacks that no waiting for other jobs would give it; empty where the nodes are enough."""
    room = sum(_fitting(node["Resources"], plan.resources) for node in _nodes())
    if room >= plan.least_workers:
        return ""
    wanted = ", ".join(f"{each:g} {name}" for name, each in plan.resources)
    return f"the Ray cluster has nodes for {room} workers of {wanted} each, and {plan.least_workers} are needed"


def require_room(plan: BackendPlan, warn: Callable[[str], None], *, grows: bool) -> str:
    """Raises FailedPreconditionError for more than the cluster will ever have; warns of what it has to wait for.

    Returns what it lacks until it has grown, where it `grows`.
    """
    missing = shortage(plan)
    if missing and not grows:
        raise FailedPreconditionError(
            f"{missing}; lower backend.trainer.num_workers or resources_per_worker, or add nodes (where an "
            "autoscaler does that, start the server with --ray-grows)",
            reason=Reason.CLUSTER_TOO_SMALL,
            field="backend.trainer.num_workers",
        )
    if missing:
        warn(f"{missing}; the job waits until it has grown")
        return missing
    free = ray.available_resources()
    for name, each in plan.resources:
        amount = each * plan.least_workers
        if amount > free.get(name, 0.0):
            warn(
                f"{plan.least_workers} workers need {amount:g} {name}, and {free.get(name, 0.0):g} are free now; "
                "the job waits until others have ended",
            )
    return missing


class Lookout:
    """Tells, now and then, that a job waits for nodes that have gone."""

    def __init__(
        self, plan: BackendPlan, listener: Listener, short: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan, self._listener, self._clock = plan, listener, clock
        self._looked, self._short = clock(), short

    def look(self) -> None:
        """Looks, if the last time is long ago."""
        if self._clock() - self._looked < _LOOK_SECONDS:
            return
        before, self._short = self._short, shortage(self._plan)
        self._looked = self._clock()
        if self._short and not before:
            self._listener.report(JobWarning(WAITING, f"{self._short}; the job waits for others to join"))


Asked = list[tuple[dict[str, Any], Any]]
"""Nodes, and what their answers will be."""


def asked_nodes() -> Asked:
    """Asks all nodes whether they can run Headstart, each in a process of its own."""
    return [(node, _ask(node["NodeID"])) for node in _nodes()]


def require_able(asked: Asked, worker: Resources) -> None:
    """Raises FailedPreconditionError for a node on which workers could be placed and would not start.

    Ray itself starts workers again and again whose process dies while it imports what they run.
    """
    # one for all of them, which were asked at the same time
    deadline = time.monotonic() + _ANSWER_SECONDS
    for node, answer in asked:
        if not _fitting(node["Resources"], worker):
            continue
        address = node["NodeManagerAddress"]
        try:
            version = ray.get(answer, timeout=max(0.0, deadline - time.monotonic()))
        except _BROKEN as error:
            if node["NodeID"] in {each["NodeID"] for each in _nodes()}:
                raise _unfit(address, brief(error)) from error
            _log.warning("a node went while it was asked", node=address, error=brief(error))
        except GetTimeoutError:
            _log.warning("a node does not answer", node=address, seconds=_ANSWER_SECONDS)
        except ray.exceptions.RayError as error:  # it has gone
            _log.warning("a node cannot be asked", node=address, error=brief(error))
        else:
            if version != own_version():
                raise _unfit(address, f"it has version {version}, the server {own_version()}", Reason.VERSIONS_DIFFER)


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _fitting(node: Mapping[str, float], worker: Resources) -> int:
    """How many workers a node has room for. Ray counts resources in ten-thousandths, exactly."""
    return min(round(node.get(name, 0.0) * 10_000) // max(1, round(each * 10_000)) for name, each in worker if each > 0)


def _ask(node: str) -> Any:
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    # without a CPU of its own, so that busy nodes answer as well
    return ray.remote(_version).options(num_cpus=0, max_retries=1, scheduling_strategy=there).remote()


def _version() -> str:
    """Runs on a node: imports all that a worker runs."""
    import headstart_server.engines.rank  # noqa: F401

    return own_version()


def _unfit(address: str, why: str, reason: str = Reason.NODE_UNFIT) -> FailedPreconditionError:
    return FailedPreconditionError(
        f"the node {address} of the Ray cluster cannot run Headstart: {why.rstrip('.')}; install the server's packages "
        "there, or reserve something that only fitting nodes have (backend.trainer.resources_per_worker)",
        reason=reason,
        field="backend",
    )
