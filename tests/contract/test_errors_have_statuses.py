"""Every domain error has a gRPC status, and its details say what is wrong where."""

from __future__ import annotations

import importlib
import pkgutil
from base64 import b64encode
from urllib.parse import quote

import grpc
import headstart
import headstart_server
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from headstart.errors import explained
from headstart_server.core import errors
from headstart_server.core.errors import HeadstartError, InvalidInputError, OverloadedError, Violation
from headstart_server.rpc.errors import status_of

STATUSES = {
    "AlreadyExistsError": "ALREADY_EXISTS",
    "CancelledError": "CANCELLED",
    "DataLossError": "DATA_LOSS",
    "DeadlineExceededError": "DEADLINE_EXCEEDED",
    "FailedPreconditionError": "FAILED_PRECONDITION",
    "HeadstartError": "INTERNAL",
    "InvalidInputError": "INVALID_ARGUMENT",
    "KeysUnavailableError": "UNAVAILABLE",
    "NotExportableError": "FAILED_PRECONDITION",
    "NotFoundError": "NOT_FOUND",
    "OutOfRangeError": "OUT_OF_RANGE",
    "OverloadedError": "RESOURCE_EXHAUSTED",
    "PermissionDeniedError": "PERMISSION_DENIED",
    "QuotaError": "RESOURCE_EXHAUSTED",
    "StorageError": "UNAVAILABLE",
    "StoppingError": "UNAVAILABLE",
    "StoreFullError": "RESOURCE_EXHAUSTED",
    "TooLargeError": "RESOURCE_EXHAUSTED",
    "TrainingFailedError": "FAILED_PRECONDITION",
    "UnavailableError": "UNAVAILABLE",
    "PausedError": "CANCELLED",
    "BadCellError": "INVALID_ARGUMENT",
    "UnexpectedError": "INTERNAL",
    "UnauthenticatedError": "UNAUTHENTICATED",
}
PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def _subclasses(kind: type[HeadstartError]) -> set[type[HeadstartError]]:
    return {kind}.union(*map(_subclasses, kind.__subclasses__()))


def _everything_imported() -> None:
    for module in pkgutil.walk_packages(headstart_server.__path__, "headstart_server."):
        if ".runtime" not in module.name:
            importlib.import_module(module.name)


def test_every_domain_error_has_the_status_that_clients_act_on() -> None:
    _everything_imported()
    ours = {kind for kind in _subclasses(HeadstartError) if kind.__module__.startswith("headstart_server.")}
    assert {kind.__name__: status_of(_raised(kind))[0].name for kind in ours} == STATUSES


def _raised(kind: type[HeadstartError]) -> HeadstartError:
    return kind(Violation("a", "b")) if issubclass(kind, InvalidInputError) else kind("x")


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
    assert told.count(": xx") == len([item for item in request.field_violations if item.field]) >= min(count, 5)
    assert ("more; correct these first" in told) == (count > 5)


def test_a_server_that_stops_is_unavailable_and_says_when_to_come_back() -> None:
    code, _, status = status_of(errors.StoppingError("stopping", retry_after=2))
    retry = RetryInfo()
    assert code is grpc.StatusCode.UNAVAILABLE
    assert status.details[1].Unpack(retry) and retry.retry_delay.seconds == 2


def test_an_overload_says_when_to_come_back() -> None:
    code, _, status = status_of(OverloadedError("full", retry_after=1.5))
    retry = RetryInfo()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status.details[1].Unpack(retry)
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == (1, 500_000_000)


@pytest.mark.parametrize("letter", ["m", "%", "\n", "é", "字", "🦆", "\udcff"], ids=ascii)
@pytest.mark.parametrize("size", [0, 10, 300, 4_000, 10**5])
@pytest.mark.parametrize("count", [1, 3, 100])
def test_message_and_details_fit_into_trailers_in_any_script(letter: str, size: int, count: int) -> None:
    violations = [Violation(f"columns[{index}].{letter * size}", letter * size + "; fix it") for index in range(count)]
    for error in (InvalidInputError(violations), OverloadedError(letter * size), errors.NotFoundError(letter * size)):
        error.field = letter * size
        code, message, status = status_of(error)
        trailers = [("grpc-status", str(code.value[0])), ("grpc-message", quote(message, safe=PRINTABLE))]
        trailers.append(("grpc-status-details-bin", b64encode(status.SerializeToString()).decode()))
        assert sum(len(name) + len(value) + 32 for name, value in trailers) < 4_096
        assert status.message == message
        request = BadRequest()
        if isinstance(error, InvalidInputError) and status.details[1].Unpack(request):
            told = [item for item in request.field_violations if item.field]
            assert told[0].description.endswith("fix it")
            unlisted = [int(item.description.split()[1]) for item in request.field_violations if not item.field]
            assert len(told) + sum(unlisted) == count


def test_a_subclass_that_the_table_does_not_know_takes_its_parents_status() -> None:
    class Special(errors.NotFoundError):
        pass

    assert status_of(Special("x"))[0] is grpc.StatusCode.NOT_FOUND
