"""What Ray Train runs in each worker.

Little is imported before it runs: a process that dies meanwhile fails the job at once, and later it is started again.
"""

from contextlib import nullcontext
from typing import Any

import ray

from headstart_server.core.errors import CancelledError, HeadstartError, PausedError, StorageError
from headstart_server.core.memory import keep_few_primitives


def train_rank(config: dict[str, Any]) -> None:
    """One worker's part. A job that has ended, well or for good, is not begun again after a restart."""
    from headstart_server.engines.envelopes import job_envelope
    from headstart_server.engines.listener import Silent
    from headstart_server.engines.rank import train_together
    from headstart_server.engines.ray.loading import ClusterLoading
    from headstart_server.engines.ray.report_channel import ChannelReporter
    from headstart_server.model.world import World

    keep_few_primitives()
    channel, world = config["channel"], World.joined()
    if any(ray.get([channel.published.remote(), channel.ended.remote()])):
        return
    try:
        with ChannelReporter(channel) if world.leads else nullcontext(Silent()) as listener:
            plan, envelope = config["plan"], job_envelope(config["envelope"])
            cores = int(dict(plan.resources).get("CPU", 1))
            loading = ClusterLoading(envelope, world, config["workers"], cores)
            train_together(envelope, world, plan, listener, ray.get(config["survey"]), loading)
    except StorageError:  # a restart, from the checkpoint, may well find it mended
        raise
    except HeadstartError as error:
        # waited for: when this worker fails, Ray starts all of them again, and they look for it first
        ray.get(channel.end.remote({"reason": error.reason, "message": error.message, "field": error.field}))
        if not isinstance(error, CancelledError | PausedError):  # every worker leaves at the same step
            raise
