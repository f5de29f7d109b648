"""Statuses as errors carry them."""

from __future__ import annotations

from google.rpc.error_details_pb2 import RequestInfo
from google.rpc.status_pb2 import Status


def without_request_id(status: Status) -> Status:
    """The status without what tells one call from another."""
    kept = [detail for detail in status.details if not detail.Is(RequestInfo.DESCRIPTOR)]
    return Status(code=status.code, message=status.message, details=kept)
