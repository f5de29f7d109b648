"""What Ray Train runs in each worker.

Little is imported before it runs: a process that dies meanwhile fails the job at once, and later it is started again.
"""

from contextlib import nullcontext
from typing import Any

import ray

from headstart_server.core.errors import CancelledError, HeadstartError, StorageError
from headstart_server.engines.listener import Silent
from headstart_server.engines.ray.ears import Speaker
from headstart_server.model.world import World


def member(config: dict[str, Any]) -> None:
    """One worker's part. A job that has ended, well or for good, is not begun again after a restart."""
    from headstart_server.engines.member import train_together
    from headstart_server.engines.ray.loading import ClusterLoading

    ears, world = config["ears"], World.joined()
    if any(ray.get([ears.published.remote(), ears.ended.remote()])):
        return
    try:
        with Speaker(ears) if world.leads else nullcontext(Silent()) as listener:
            plan = config["plan"]
            cores = int(dict(plan.resources).get("CPU", 1))
            loading = ClusterLoading(config["job"], world, config["hands"], cores)
            train_together(config["job"], world, plan, listener, ray.get(config["survey"]), loading)
    except StorageError:  # a restart, from the checkpoint, may well find it mended
        raise
    except HeadstartError as error:
        ray.get(ears.end.remote({"reason": error.reason, "message": error.message, "field": error.field}))
        if not isinstance(error, CancelledError):  # every worker leaves at the same step
            raise
