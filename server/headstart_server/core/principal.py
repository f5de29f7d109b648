"""Who calls: a name, its tenant, and what it may do."""

from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from headstart_server.core.errors import PermissionDeniedError
from headstart_server.core.names import check_tenant


class Scope(StrEnum):
    """What a caller may do. None of them includes another."""

    READ = "read"
    """Read and follow jobs, and read models, data sets, artifacts and embedding spaces."""
    TRAIN = "train"
    """Plan, start, cancel and delete jobs; upload and delete data sets; export models, download and delete exports."""
    PREDICT = "predict"
    """Predict and embed."""
    ADMIN = "admin"
    """Delete models and embedding spaces."""
    METRICS = "metrics"
    """Scrape the server's metrics, which count for all tenants together."""


@dataclass(frozen=True)
class Principal:
    """One caller. Raises InvalidInputError for a tenant whose name cannot be that of a folder."""

    tenant: str = ""
    """Empty: the default tenant, of a server without credentials."""
    scopes: frozenset[Scope] = frozenset(Scope)
    name: str = "anonymous"
    """For logs: it gives no rights."""

    def __post_init__(self) -> None:
        check_tenant(self.tenant)

    def require(self, *scopes: Scope) -> None:
        """Raises PermissionDeniedError naming the first of these that the caller lacks."""
        for scope in scopes:
            if scope not in self.scopes:
                held = ", ".join(sorted(self.scopes)) or "none"
                raise PermissionDeniedError(f"this needs the scope {scope.value!r}; the caller's scopes: {held}")


ANONYMOUS = Principal()
"""A caller of a server that asks for no credentials: it may do everything."""

_CALLER: ContextVar[Principal | None] = ContextVar("caller", default=None)


def known_caller() -> Principal | None:
    """Who calls, found by the transport before anything is done for the call, and known to its tasks and threads by
    this; None where it is not known, or nobody calls."""
    return _CALLER.get()


def set_caller(caller: Principal | None) -> None:
    """Lets the rest of this task know who calls."""
    _CALLER.set(caller)
