"""Unary gRPC calls as HTTP/2 frames (RFC 9113) that are written and read by hand: a caller that takes little of the
machine which it shares with the server.

It says only what such calls need: headers without a table (RFC 7541, literals), no retries, windows as the peer gives.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_WINDOW_BYTES = 1 << 30
_STATUS = b"grpc-status"
OK, RESOURCE_EXHAUSTED = 0, 8
"""Codes of gRPC."""


@dataclass
class _Call:
    answer: asyncio.Future[int]
    data: bool = False


class CheapCaller(asyncio.Protocol):
    """One connection, on one event loop; every call is of one method."""

    def __init__(self, authority: str, path: str, seconds: float) -> None:
        self._block = b"\x83\x86" + b"".join(
            (
                b"\x04" + _text(path),
                b"\x01" + _text(authority),
                b"\x00" + _text("te") + _text("trailers"),
                b"\x0f\x10" + _text("application/grpc"),
                b"\x00" + _text("grpc-timeout") + _text(f"{round(seconds * 1e3)}m"),
            )
        )
        self._seconds = seconds
        self._calls: dict[int, _Call] = {}
        self._next, self._window, self._read = 1, 65_535, bytearray()
        self._waiting: list[tuple[int, bytes]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        settings = struct.pack(">HIHI", 1, 0, 4, _WINDOW_BYTES)  # no table of headers, large windows
        transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, settings))
        transport.write(_frame(_WINDOW, 0, 0, struct.pack(">I", _WINDOW_BYTES)))

    async def call(self, message: bytes) -> tuple[int | None, float]:
        """Makes a call; returns gRPC's code, None where no answer came in time, and the seconds that it took."""
        stream, self._next = self._next, self._next + 2
        call = self._calls[stream] = _Call(asyncio.get_running_loop().create_future())
        start = time.perf_counter()
        self._waiting.append((stream, b"\0" + struct.pack(">I", len(message)) + message))
        self._send()
        try:
            async with asyncio.timeout(self._seconds):
                return await call.answer, time.perf_counter() - start
        except TimeoutError:
            return None, time.perf_counter() - start
        finally:
            self._calls.pop(stream, None)

    def _send(self) -> None:
        while self._waiting and len(self._waiting[0][1]) <= self._window:
            stream, body = self._waiting.pop(0)
            self._window -= len(body)
            headers = _frame(_HEADERS, _END_HEADERS, stream, self._block)
            self.transport.write(headers + _frame(_DATA, _END_STREAM, stream, body))

    def data_received(self, data: bytes) -> None:
        """Takes frames."""
        self._read += data
        start = 0
        while len(self._read) - start >= 9:
            size = int.from_bytes(self._read[start : start + 3], "big")
            if len(self._read) - start < 9 + size:
                break
            kind, flags = self._read[start + 3], self._read[start + 4]
            stream = int.from_bytes(self._read[start + 5 : start + 9], "big") & 0x7FFFFFFF
            self._take(kind, flags, stream, bytes(self._read[start + 9 : start + 9 + size]))
            start += 9 + size
        del self._read[:start]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self.transport.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self.transport.write(_frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW and stream == 0:
            self._window += int.from_bytes(payload, "big")
            self._send()
        elif kind == _GOAWAY:
            raise ConnectionError("the server ends the connection")
        elif (call := self._calls.get(stream)) is not None and not call.answer.done():
            call.data |= kind == _DATA
            if kind == _RESET:
                call.answer.set_result(4)  # as a client counts what the server has cut: its time was over
            elif kind in (_HEADERS, _CONTINUATION) and flags & _END_STREAM:
                call.answer.set_result(_code(payload))


def _code(block: bytes) -> int:
    """gRPC's in a block of literal headers."""
    place = block.index(_STATUS) + len(_STATUS)
    return int(block[place + 1 : place + 1 + block[place]])


def _text(text: str) -> bytes:
    encoded = text.encode()
    assert len(encoded) < 127
    return bytes([len(encoded)]) + encoded


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


@asynccontextmanager
async def cheap_caller(address: str, path: str, seconds: float) -> AsyncIterator[CheapCaller]:
    """Connects to `host:port`; each call has so many seconds."""
    host, port = address.rsplit(":", 1)
    loop = asyncio.get_running_loop()
    transport, caller = await loop.create_connection(lambda: CheapCaller(address, path, seconds), host, int(port))
    try:
        yield caller
    finally:
        transport.close()
