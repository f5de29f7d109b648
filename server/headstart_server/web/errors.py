"""Errors as Google's APIs answer them over HTTP (https://google.aip.dev/193): the status as JSON."""

import math

import grpc
import structlog
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2  # noqa: F401 - the details of a status are found by their types
from google.rpc.status_pb2 import Status
from starlette.requests import Request
from starlette.responses import JSONResponse

from headstart_server.core.errors import HeadstartError, UnexpectedError
from headstart_server.rpc.errors import status_of

_log = structlog.get_logger()
_HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""As google/rpc/code.proto maps them; 500 for all others."""


def domain_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request that failed for a reason that its caller is told."""
    assert isinstance(error, HeadstartError)
    code, _, status = status_of(error)
    answer = _answer(code, status)
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(math.ceil(error.retry_after))  # whole seconds (RFC 9110)
    return answer


def unexpected_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request that the server failed at; what happened stands in its log alone."""
    _log.error("http request failed unexpectedly", path=request.url.path, exc_info=error)
    code, _, status = status_of(UnexpectedError())
    return _answer(code, status)


def _answer(code: grpc.StatusCode, status: Status) -> JSONResponse:
    http = _HTTP.get(code, 500)
    body = {"code": http, "status": code.name, "message": status.message}
    if status.details:
        body["details"] = MessageToDict(status)["details"]
    # RFC 6750, section 3
    headers = {"WWW-Authenticate": "Bearer"} if code is grpc.StatusCode.UNAUTHENTICATED else None
    return JSONResponse({"error": body}, http, headers)
