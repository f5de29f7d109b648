#!/usr/bin/env bash
# One would guess that a handler of grpc.aio which reads a stream of requests is told where the client cut it: that the
# `async for` raises, or is cancelled, and ends quietly only when the client has said that it has sent everything.
#
# In truth it ends quietly each time, and `cancelled()` and `done()` are False then. The handler's task is cancelled
# within a millisecond or so, at its next await: one that stores what it has read as soon as the loop is over may store half a
# file as a whole. So a handler has to know by other means that it has everything (a length, a digest), or to wait a
# moment before it believes it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'grpcio==1.85.3'
cat >demo.py <<'PY'
import asyncio
import collections
import logging
import time

import grpc

CALLS = 100
seen = collections.Counter()


async def handler(requests, context):
    try:
        async for _ in requests:
            pass
    except asyncio.CancelledError:
        seen["cancelled while it read"] += 1
        raise
    seen[f"the loop ended, cancelled() {context.cancelled()}, done() {context.done()}"] += 1
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        seen["cancelled after that"] += 1
        raise
    return b""


class Handlers(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.stream_unary_rpc_method_handler(handler)


def parts():
    yield b"x" * 1000
    time.sleep(0.01)
    raise ConnectionError  # the client has more to send, and cannot


def call(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for _ in range(CALLS):
            try:
                channel.stream_unary("/demo.Demo/Upload")(parts())
            except grpc.RpcError as error:
                seen[f"the client's status: {error.code().name}"] += 1


async def main():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await asyncio.to_thread(call, port)
    await asyncio.sleep(1)
    await server.stop(0)


logging.disable(logging.CRITICAL)
asyncio.run(main())
for what, times in seen.items():
    print(f"{times:4} of {CALLS}: {what}")
ended = "the loop ended, cancelled() False, done() False"
assert (seen[ended], seen["cancelled after that"], seen["cancelled while it read"]) == (CALLS, CALLS, 0), seen
PY
venv/bin/python demo.py
echo "as described"
