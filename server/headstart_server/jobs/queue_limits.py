"""How many jobs may wait: in all, and of each tenant."""

from headstart_server.core.errors import OverloadedError
from headstart_server.core.quotas import Quotas


class QueueLimits:
    """Asked within the transaction that stores a job. Thread-safe."""

    def __init__(self, most: int, quotas: Quotas) -> None:
        self._most, self._quotas = most, quotas

    def require(self, tenant: str, waiting: int, own: int) -> None:
        """Raises OverloadedError where so many jobs wait, and QuotaError where so many of the tenant's own do."""
        if waiting >= self._most:
            raise OverloadedError(f"{self._most} jobs wait already; try again later", retry_after=30)
        self._quotas.require_queued(tenant, own)
