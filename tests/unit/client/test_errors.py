"""What the server says is wrong reaches the caller whole."""

from __future__ import annotations

import socket

import grpc
import headstart
import pytest

from tests.support.fake_server import FakeServer
from tests.support.refusals import Refusal

OWN_ERRORS = {
    "INVALID_ARGUMENT": "InvalidArgument",
    "NOT_FOUND": "NotFound",
    "ALREADY_EXISTS": "AlreadyExists",
    "FAILED_PRECONDITION": "FailedPrecondition",
    "RESOURCE_EXHAUSTED": "ResourceExhausted",
    "OUT_OF_RANGE": "OutOfRange",
    "UNAUTHENTICATED": "Unauthenticated",
    "PERMISSION_DENIED": "PermissionDenied",
    "UNIMPLEMENTED": "Unimplemented",
    "UNAVAILABLE": "Unavailable",
    "ABORTED": "Aborted",
    "DEADLINE_EXCEEDED": "DeadlineExceeded",
    "CANCELLED": "CallCancelled",
    "DATA_LOSS": "DataLoss",
    "INTERNAL": "Internal",
}
SPEC = {"input_features": [{"name": "review", "type": "text"}]}


def test_violations_reason_and_fix_arrive(server: FakeServer, client: headstart.Client) -> None:
    field = "input_features[0].encoder.type"
    server.training.refusal = Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        "the spec is wrong",
        "BAD_SPEC",
        {field: "'brt' is unknown; did you mean 'bert'?"},
    )
    with pytest.raises(headstart.InvalidArgument) as raised:
        client.train(SPEC, {"review": ["a"]})
    error = raised.value
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "BAD_SPEC"
    assert error.violations == (headstart.Violation(field, "'brt' is unknown; did you mean 'bert'?"),)
    assert str(error) == f"the spec is wrong\n  {field}: 'brt' is unknown; did you mean 'bert'?"
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("message", "violations", "shown"),
    [
        ("a.b: is 1; use 2", {"a.b": "is 1; use 2"}, "a.b: is 1; use 2"),
        ("is empty", {"": "is empty"}, "is empty"),
        ("a: is 1; b: is 2", {"a": "is 1", "b": "is 2"}, "2 things are wrong:\n  a: is 1\n  b: is 2"),
        ("a: " + "x" * 50, {"a": "x" * 90}, "a: " + "x" * 90),
        ("the spec is wrong", {"a": "is 1", "b": "is 2"}, "the spec is wrong\n  a: is 1\n  b: is 2"),
    ],
    ids=["one", "no field", "several", "cut short", "a message of its own"],
)
def test_each_violation_is_told_once(
    server: FakeServer, client: headstart.Client, message: str, violations: dict[str, str], shown: str
) -> None:
    server.training.refusal = Refusal(grpc.StatusCode.INVALID_ARGUMENT, message, "BAD_SPEC", violations)
    with pytest.raises(headstart.InvalidArgument) as raised:
        client.train(SPEC, {"review": ["a"]})
    assert str(raised.value) == shown


async def test_retry_after_arrives(server: FakeServer, async_client: headstart.AsyncClient) -> None:
    server.training.refusal = Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full", "QUEUE_FULL", retry_after=2.5
    )
    with pytest.raises(headstart.ResourceExhausted) as raised:
        await async_client.train(SPEC, {"review": ["a"]})
    assert raised.value.retry_after == 2.5


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_becomes_the_error_of_its_meaning(
    server: FakeServer, client: headstart.Client, code: grpc.StatusCode
) -> None:
    server.training.refusal = Refusal(code, "why")
    with pytest.raises(headstart.HeadstartError, match="why") as raised:
        client.plan(SPEC, {"review": ["a"]})
    assert type(raised.value).__name__ == OWN_ERRORS.get(code.name, "HeadstartError")
    assert raised.value.code is code


def test_an_unreachable_server_is_unavailable_within_the_connect_timeout() -> None:
    policy = headstart.RetryPolicy(initial_delay=0.01, connect_timeout=0.1)
    with headstart.Client("localhost:1", retry=policy) as client:
        with pytest.raises(headstart.Unavailable):
            client.server_info()
        with pytest.raises(headstart.Unavailable):
            list(client.watch("j1"))


def test_a_call_that_takes_too_long_exceeds_its_deadline() -> None:
    with socket.create_server(("localhost", 0)) as silent:
        address = f"localhost:{silent.getsockname()[1]}"
        with headstart.Client(address, timeout=0.1) as client, pytest.raises(headstart.DeadlineExceeded):
            client.server_info()
