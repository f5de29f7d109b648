"""Errors of a request in the words of the protocol: its own fields, and in a stream the answer that tells of one."""

from dataclasses import replace

from headstart_server.core.errors import (
    HeadstartError,
    InvalidInputError,
    NotFoundError,
)
from headstart_server.rpc.errors import status_of
from headstart_server.rpc.inference import grpc_service_pb2 as pb

ENDS_STREAM = ("triton_grpc_error", "true")
"""Metadata by which a client asks for a status in place of an error within the stream."""
_ID_LENGTH = 200
_TABLE, _INPUTS = "table", "inputs"


def of_request(error: HeadstartError, model_field: str) -> HeadstartError:
    """The error with the fields of an inference request for those of the use case."""
    if isinstance(error, NotFoundError):
        error.field = model_field
    if not isinstance(error, InvalidInputError):
        return error
    violations = [replace(each, field=_INPUTS) if each.field == _TABLE else each for each in error.listed]
    return InvalidInputError(violations, reason=error.reason, unlisted=error.unlisted)


def failed_answer(request: pb.ModelInferRequest, error: HeadstartError) -> pb.ModelStreamInferResponse:
    """What a stream answers to a request that failed.

    Clients of Triton hand on the message alone, so that it names the request, the status and the reason as well.
    """
    code, message, _ = status_of(error)
    response = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
    for name, value in (("code", code.name), ("reason", error.reason), ("field", error.field)):
        if value:
            response.parameters[name].string_param = value
    if error.retry_after is not None:
        response.parameters["retry_after_ms"].int64_param = round(error.retry_after * 1e3)
    named = f"[request id: {request.id[:_ID_LENGTH]}] " if request.id else ""
    return pb.ModelStreamInferResponse(
        error_message=f"{named}{code.name} ({error.reason}): {message}", infer_response=response
    )
