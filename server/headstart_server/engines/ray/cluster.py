"""Joins a Ray cluster, or starts one on this machine."""

import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import ray
import ray.exceptions

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason

_JOIN_SECONDS = 10.0
_TOKEN_SETTINGS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE")


@contextmanager
def cluster(address: str) -> Iterator[None]:
    """Joins the cluster at an address, or that of RAY_ADDRESS, or starts one on this machine for as long as the job."""
    address = address or os.environ.get("RAY_ADDRESS", "") or "local"
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == "local":
        _bring_token()
    with tempfile.TemporaryDirectory(prefix="headstart-ray-", ignore_cleanup_errors=True) as logs:
        own = {"include_dashboard": False, "_temp_dir": logs} if address == "local" else {}
        with no_cluster_named(f"at {address!r} cannot be joined"):
            _require_reachable(address)
            ray.init(address=address, namespace="headstart", log_to_driver=False, logging_level=logging.WARNING, **own)
        try:
            yield
        finally:
            ray.shutdown()


def _bring_token() -> None:
    """Gives a cluster of this process's own a token: Ray would write one below HOME, where it may not be allowed to."""
    if not any(name in os.environ for name in _TOKEN_SETTINGS):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _require_reachable(address: str) -> None:
    """Raises OSError where nobody listens at `host:port`: Ray itself tries for minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_JOIN_SECONDS).close()


@contextmanager
def no_cluster_named(what: str) -> Iterator[None]:
    """Raises FailedPreconditionError for a cluster that cannot be used."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        message = f"the Ray cluster {what}: {brief(error)}"
        raise FailedPreconditionError(message, reason=Reason.NO_CLUSTER, field="backend") from error


def brief(error: Exception) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
