"""Live models are those that there are: another server may have deleted one."""

import asyncio

import structlog

from headstart_server.core.errors import HeadstartError
from headstart_server.core.executors import Executor
from headstart_server.serving.pool import ModelPool

_log = structlog.get_logger()


async def drop_deleted(pool: ModelPool, threads: Executor, period: float = 15.0) -> None:
    """Goes on until it is cancelled; while the storage is away live models stay."""
    while True:
        await asyncio.sleep(period)
        try:
            await threads.run(pool.forget_deleted)
        except (HeadstartError, OSError) as error:
            _log.warning("deleted models could not be looked for", error=str(error))
        except Exception:  # noqa: BLE001 - a loop that ends would let deleted models answer from then on
            _log.exception("deleted models could not be looked for")
