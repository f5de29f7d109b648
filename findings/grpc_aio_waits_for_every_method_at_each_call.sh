#!/usr/bin/env bash
# One would guess that a server of grpc.aio finds a call's handler by its name, so that a call costs the same however many methods
# there are.
#
# In truth (1.85.3) the code that protoc's plugin generates registers every method (add_registered_method_handlers), a server keeps
# one task for each that waits for its next call, and at every call, of any of them, begins asyncio.wait over all those tasks anew:
# 60 methods are 61 futures to which a callback is added and taken away again. That costs a server with some fifty methods about a
# tenth of a millisecond at each call, on the event loop, where a call that does nothing takes four.
# Methods that are added as generic handlers alone (add_generic_rpc_handlers, which generated code calls as well) are found by
# their names, and one future is waited for.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'grpcio==1.85.3'
cat >demo.py <<'PY'
import asyncio
import sys

import grpc

METHODS, CALLS = 60, 20


async def waits(registered):
    """How many futures the server waits for, of all its waits while it answers some calls."""

    async def answer(request, context):
        return request

    handlers = {f"M{number}": grpc.unary_unary_rpc_method_handler(answer) for number in range(METHODS)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Service", handlers),))
    if registered:
        server.add_registered_method_handlers("a.Service", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    seen, wait = [], asyncio.wait

    async def counting(futures, **options):
        seen.append(len(futures))
        return await wait(futures, **options)

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a.Service/M7", _registered_method=registered)
        await call(b"x")
        asyncio.wait = counting
        for _ in range(CALLS):
            assert await call(b"x") == b"x"
        asyncio.wait = wait
    await server.stop(0)
    return seen


found = {kind: asyncio.run(waits(kind == "registered")) for kind in ("registered", "generic")}
for kind, seen in found.items():
    print(f"grpcio {grpc.__version__}, {METHODS} methods, {kind}: {CALLS} calls, {len(seen)} waits for {set(seen)} futures each")
expected = found["registered"] == [METHODS + 1] * CALLS and found["generic"] == [1] * CALLS
sys.exit(0 if expected else 1)
PY
venv/bin/python demo.py
