"""A job's events as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from headstart.v1 import training_pb2 as pb
from starlette.requests import Request
from starlette.responses import StreamingResponse

from headstart_server.core.errors import StoppingError, invalid
from headstart_server.rpc.gate import Gate
from headstart_server.rpc.measuring import measured
from headstart_server.rpc.remembered import Remembered
from headstart_server.web.gate import called
from headstart_server.web.transcoding import to_json

_QUIET_SECONDS = 15.0
"""After so long without an event a comment is sent: proxies end connections on which nothing happens."""
_SERVICE, _RPC = "headstart.v1.TrainingService", "WatchTrainJob"
_RETRY = b"retry: 1000\n\n"
_KEEP_ALIVE = b": keep-alive\n\n"
_END = b"event: end\ndata: {}\n\n"
_Batches = AsyncGenerator[list[pb.TrainJobEvent], None]


def _block(event: pb.TrainJobEvent) -> bytes:
    return f"id: {event.sequence}\ndata: {to_json(event)}\n\n".encode()


_BLOCKS = Remembered(_block, most=1_000)
"""As they are sent, made once for all who watch a job: they hear of an event at about the same time."""


class EventStream:
    """Answers with the events of a job after the one that the client saw last."""

    def __init__(self, training: Any, gate: Gate) -> None:
        self._training, self._gate = training, gate

    async def answer(self, request: Request) -> StreamingResponse:
        """Raises NotFoundError, or OutOfRangeError for events that are no longer kept, before the first byte, so that
        the browser does not ask again and again."""
        name = f"trainJobs/{request.path_params['id']}"
        with called(self._gate, f"{_SERVICE}/{_RPC}", request) as call:
            call.asked(pb.GetTrainJobRequest(name=name))
            await call.admit()
            after = _after(request)
            first = pb.ListTrainJobEventsRequest(name=name, after_sequence=after, page_size=1)
            await self._training.ListTrainJobEvents(first, request)
        watched = self._training.watched(pb.WatchTrainJobRequest(name=name, after_sequence=after), request)
        # proxies that gather answers before they pass them on would hold events back (nginx reads this header)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_lines(_measured(watched)), media_type="text/event-stream", headers=headers)


def _after(request: Request) -> int:
    """The number of the last event that the client has; raises InvalidInputError."""
    given = request.headers.get("last-event-id") or request.query_params.get("afterSequence") or "0"
    if not (given.isascii() and given.isdigit()) or len(given) > 18:
        raise invalid("Last-Event-ID", f"{given[:40]!r} is no number of an event; leave it out to get all")
    return int(given)


async def _measured(watched: _Batches) -> _Batches:
    with measured(_SERVICE, _RPC):
        async with aclosing(watched) as found:
            async for events in found:
                yield events


async def _lines(watched: _Batches) -> AsyncIterator[bytes]:
    """The stream; one that the server ends early has no `end`, and the browser asks again for the rest."""
    yield _RETRY
    try:
        async with aclosing(_with_pauses(watched)) as found:
            async for events in found:
                if events is None:
                    yield _KEEP_ALIVE
                else:
                    yield b"".join(_BLOCKS.of(f"{event.job}/{event.sequence}", event) for event in events)
    except StoppingError:
        return
    yield _END


async def _with_pauses(watched: _Batches) -> AsyncGenerator[list[pb.TrainJobEvent] | None, None]:
    """The events, and None whenever there was none for a while."""
    following = asyncio.ensure_future(anext(watched, None))
    try:
        while True:
            done, _ = await asyncio.wait([following], timeout=_QUIET_SECONDS)
            if not done:
                yield None
                continue
            events = following.result()
            if events is None:
                return
            yield events
            following = asyncio.ensure_future(anext(watched, None))
    finally:
        following.cancel()  # a generator that is waited for cannot be closed
        await asyncio.wait([following])
        await watched.aclose()
