"""What tenants have in a state directory, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart_server.core.layout import Layout
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.service.tenants import Tenants
from headstart_server.storage.storage import Storage


def tenants_of(root: Path, model_root: Path | None = None, **limits: Any) -> Tenants:
    """All tenants of a state directory, with the models below a folder."""
    runtime = RuntimeContext.at(Storage(Layout(root)), ModelSources(model_root), use_gpu=False)
    return Tenants(runtime, **limits)
