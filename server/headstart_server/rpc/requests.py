"""Request bodies that cannot be read are the caller's mistake: gRPC would call it a failure of the server."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import Reason

Deserializer = Callable[[bytes], Any]


@dataclass(frozen=True)
class Unreadable:
    """Stands for a request body that is no message of its method's type."""

    size: int


def tolerant(deserializer: Deserializer) -> Deserializer:
    """As `deserializer`, but what it cannot read becomes an `Unreadable`: it runs where nobody could answer for it."""

    def read(body: bytes) -> Any:
        try:
            return deserializer(body)
        except Exception:  # noqa: BLE001 - each implementation of protobuf has errors of its own
            return Unreadable(len(body))

    return read


def readable(request: Any) -> Any:
    """The request; raises InvalidInputError for an `Unreadable`."""
    if isinstance(request, Unreadable):
        raise _refusal(request)
    return request


async def all_readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The requests of a stream, up to one that cannot be read, which raises InvalidInputError."""
    async for request in requests:
        yield readable(request)


def _refusal(request: Unreadable) -> InvalidInputError:
    return invalid(
        "",
        f"the request body of {request.size} bytes is no message of this method, or holds a string that is not UTF-8; "
        "send the type that the protos name, and bytes in fields of type bytes alone",
        reason=Reason.UNREADABLE_REQUEST,
    )
