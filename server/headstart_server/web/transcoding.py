"""HTTP requests as calls of the servicers, and their messages as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from google.protobuf.json_format import MessageToJson, Parse, ParseDict, ParseError
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response

from headstart_server.core.calls import Calls
from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.executors import Executor
from headstart_server.rpc.gate import Gate
from headstart_server.rpc.measuring import measured
from headstart_server.web.bodies import JSON, Bodies
from headstart_server.web.gate import Endpoint, HttpCall, called
from headstart_server.web.routes import Route
from headstart_server.web.waiting import answered, preferred_seconds


@dataclass(frozen=True)
class Bounds:
    """What requests may cost."""

    calls: Calls
    """Of both transports."""
    bodies: Bodies
    seconds: float
    """For which a request waits for its answer unless it says otherwise."""


def endpoint(route: Route, servicers: Mapping[str, Any], threads: Executor, bounds: Bounds, gate: Gate) -> Endpoint:
    """What answers the requests of a route. Messages are read and written on `threads`."""
    call = getattr(servicers[route.service], route.rpc)
    method = f"{route.service_name}/{route.rpc}"

    async def answer(request: Request) -> Response:
        with measured(route.service_name, route.rpc), called(gate, method, request) as made:
            await made.admit()
            with bounds.calls.one(), bounds.bodies.one() as given:
                body = await given.read(request) if request.method != "GET" else b""
                preferred = preferred_seconds(request)
                seconds = bounds.seconds if preferred is None else preferred
                text = await answered(request, work(made, request, body), seconds)
        headers = {} if preferred is None else {"Preference-Applied": f"wait={preferred:.0f}"}
        return Response(text, media_type=JSON, headers=headers)

    async def work(made: HttpCall, request: Request, body: bytes) -> str:
        message = await threads.run(_message, route, request, body)
        made.asked(message)
        found = await call(message, request)
        made.answered(found)
        return await threads.run(to_json, found)

    return answer


def to_json(message: Message) -> str:
    """One line, in protobuf's JSON mapping (https://protobuf.dev/programming-guides/json/)."""
    return MessageToJson(message, indent=None, ensure_ascii=False)


def _message(route: Route, request: Request, body: bytes) -> Message:
    """The RPC's request; raises InvalidInputError."""
    message = route.request()
    if route.body:
        _parse(body, message)
    else:
        _from_query(message, request)
    if route.has_resource:
        *within, field = route.resource.split(".")
        setattr(reduce(getattr, within, message), field, f"{route.collection}/{request.path_params['id']}")
    return message


def _parse(body: bytes, message: Message) -> None:
    try:
        Parse(body.decode(), message)
    except (ParseError, UnicodeDecodeError, RecursionError) as error:
        raise _unlike(message, error) from error


def _from_query(message: Message, request: Request) -> None:
    """Takes the fields of a request from `?pageSize=10&states=STATE_FAILED&states=...`."""
    fields = {field.json_name: field for field in message.DESCRIPTOR.fields}
    values: dict[str, Any] = {}
    for name in request.query_params:
        if name not in fields:
            known = ", ".join(fields) or "none"
            raise invalid(name, f"is no parameter of this request; known: {known}")
        given = request.query_params.getlist(name)
        values[name] = given if fields[name].is_repeated else given[-1]
    try:
        ParseDict(values, message)
    except ParseError as error:
        raise _unlike(message, error) from error


def _unlike(message: Message, error: Exception) -> InvalidInputError:
    return invalid("", f"the request is no {message.DESCRIPTOR.name} in protobuf's JSON mapping: {error}")
