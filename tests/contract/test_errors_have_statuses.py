"""Every domain error has a gRPC status, and its details say what is wrong where."""

from __future__ import annotations

import importlib
import pkgutil

import grpc
import headstart
import headstart_server
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from headstart.errors import explained
from headstart_server.core import errors
from headstart_server.core.errors import HeadstartError, InvalidInputError, OverloadedError, Violation
from headstart_server.rpc.errors import CODES, status_of


def _subclasses(kind: type[HeadstartError]) -> set[type[HeadstartError]]:
    return {kind}.union(*map(_subclasses, kind.__subclasses__()))


def _everything_imported() -> None:
    for module in pkgutil.walk_packages(headstart_server.__path__, "headstart_server."):
        if ".runtime" not in module.name:
            importlib.import_module(module.name)


def test_every_domain_error_has_a_status() -> None:
    _everything_imported()
    ours = {kind for kind in _subclasses(HeadstartError) if kind.__module__.startswith("headstart_server.")}
    assert ours == set(CODES)


def test_no_domain_error_claims_success_or_ignorance() -> None:
    assert not {grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN} & set(CODES.values())


def test_bad_input_carries_every_field_with_its_fix() -> None:
    code, message, status = status_of(
        InvalidInputError([Violation("a.b", "is 1; use 2"), Violation("c", "x")], reason="BAD")
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert status.code == code.value[0] and status.message == message
    info, request = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info) and status.details[1].Unpack(request)
    assert (info.reason, info.metadata["field"]) == ("BAD", "a.b")
    assert [(item.field, item.description) for item in request.field_violations] == [("a.b", "is 1; use 2"), ("c", "x")]


@pytest.mark.parametrize("count", [1, 2, 30])
def test_the_client_tells_each_violation_of_the_server_once(count: int) -> None:
    _, message, status = status_of(InvalidInputError([Violation(f"f{item}", "x" * 300) for item in range(count)]))
    request = BadRequest()
    status.details[1].Unpack(request)
    told = explained(message, [headstart.Violation(item.field, item.description) for item in request.field_violations])
    assert told.count("f0: ") == 1
    assert told.count("x" * 300) == min(count, 20)


def test_an_overload_says_when_to_come_back() -> None:
    code, _, status = status_of(OverloadedError("full", retry_after=1.5))
    retry = RetryInfo()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status.details[1].Unpack(retry)
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == (1, 500_000_000)


@pytest.mark.parametrize("size", [0, 10, 10**6])
def test_a_status_stays_small_however_long_the_message(size: int) -> None:
    violations = [Violation("f" * size, "m" * size)] * 100
    assert status_of(InvalidInputError(violations))[2].ByteSize() < 64_000


def test_a_subclass_that_the_table_does_not_know_takes_its_parents_status() -> None:
    class Special(errors.NotFoundError):
        pass

    assert status_of(Special("x"))[0] is grpc.StatusCode.NOT_FOUND
