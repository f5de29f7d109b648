"""`headstart serve` for tests of tenants: a call's tenant is the one that its metadata names, without any proof."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Any

from headstart_server import app, rpc
from headstart_server.core.principal import Principal

from tests.support.running_server import RunningServer

TENANT = "test-tenant"


class TenantServer(RunningServer):
    """Such a server in a process of its own."""

    module = "tests.support.tenant_server"

    def folder_of(self, tenant: str) -> Path:
        """What the tenant has."""
        return self.state / "tenants" / tenant


def _named(context: Any) -> Principal:
    given = context.headers if hasattr(context, "headers") else dict(context.invocation_metadata())
    return Principal(given.get(TENANT, ""))


def main() -> int:
    """Serves until it is stopped; returns the exit code."""
    for found in pkgutil.walk_packages(rpc.__path__, f"{rpc.__name__}."):
        module: Any = importlib.import_module(found.name)
        if hasattr(module, "caller_of"):
            module.caller_of = _named
    return app.main()


if __name__ == "__main__":
    sys.exit(main())
