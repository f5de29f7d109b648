"""Who calls: a tenant, and what it may do."""

from dataclasses import dataclass
from enum import StrEnum

from headstart_server.core.errors import PermissionDeniedError
from headstart_server.core.names import check_tenant


class Scope(StrEnum):
    """What a caller may do."""

    READ = "read"
    """Read jobs, models, data sets, artifacts and embedding spaces."""
    TRAIN = "train"
    """Plan, start, cancel and delete jobs, and upload and delete data sets."""
    PREDICT = "predict"
    """Predict and embed."""
    EXPORT = "export"
    """Export models, and download and delete artifacts."""
    MANAGE = "manage"
    """Delete models and embedding spaces."""


@dataclass(frozen=True)
class Principal:
    """One caller. Raises InvalidInputError for a tenant whose name cannot be that of a folder."""

    tenant: str = ""
    """Empty: the default tenant, of a server without credentials."""
    scopes: frozenset[Scope] = frozenset(Scope)

    def __post_init__(self) -> None:
        check_tenant(self.tenant)

    def require(self, scope: Scope) -> None:
        """Raises PermissionDeniedError unless the caller may do this."""
        if scope not in self.scopes:
            held = ", ".join(sorted(self.scopes)) or "none"
            raise PermissionDeniedError(f"this needs the scope {scope.value!r}; the caller's scopes: {held}")


ANONYMOUS = Principal()
"""A caller of a server that asks for no credentials: it may do everything."""
