"""Clients of services as gRPC generates them, which tell nothing of their types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def stub_of(kind: Callable[..., Any], channel: Any) -> Any:
    """The methods of a service, called over a channel of either API."""
    return kind(channel)
