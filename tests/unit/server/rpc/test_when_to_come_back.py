"""Whatever time heals says when to come back, in every way in which a client may look for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from headstart_server.core.errors import (
    HeadstartError,
    OverloadedError,
    QuotaError,
    StoppingError,
    StorageError,
    UnavailableError,
    invalid,
)
from headstart_server.rpc.errors import status_of, trailers_of
from headstart_server.web.errors import domain_error


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (OverloadedError("busy", retry_after=2.5), 2.5),
        (QuotaError("used up", retry_after=30.0), 30.0),
        (StoppingError("stopping"), 1.0),
        (UnavailableError("the job database does not answer"), 5.0),
        (StorageError("the bucket does not answer"), 5.0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_is_told_in_details_trailers_and_headers(error: HeadstartError, seconds: float) -> None:
    code, _, status = status_of(error)
    info = RetryInfo()
    [packed] = [detail for detail in status.details if detail.Is(RetryInfo.DESCRIPTOR)]
    packed.Unpack(info)
    assert info.retry_delay.ToNanoseconds() == seconds * 1e9
    assert dict(trailers_of(error, code, status))["grpc-retry-pushback-ms"] == str(round(seconds * 1e3))
    request: Any = SimpleNamespace()
    assert float(domain_error(request, error).headers["retry-after"]) >= seconds


def test_what_must_change_first_says_nothing_of_time() -> None:
    code, _, status = status_of(invalid("spec", "is bad"))
    assert not any(detail.Is(RetryInfo.DESCRIPTOR) for detail in status.details)
    assert "grpc-retry-pushback-ms" not in dict(trailers_of(invalid("spec", "is bad"), code, status))
