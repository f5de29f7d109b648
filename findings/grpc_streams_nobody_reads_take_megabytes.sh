#!/usr/bin/env bash
# One would guess that a server whose stream nobody reads is stopped by flow control after the 64 KiB that HTTP/2 gives a
# stream to begin with (RFC 9113, 6.9.2): after 64 messages of a kilobyte `write` would wait until the client reads.
#
# In truth the client's window grows by what arrives, read or not: `write` goes through for some four megabytes before it
# waits, a message at a time and a pause between them as well as in one go. Fifty watchers that have stopped reading are
# sent 200 MB, and each message costs the server as much as if it were read. With the probe that grows the window off at the
# client (`grpc.http2.bdp_probe`, 0), `write` waits where one would guess: it is the client's to choose, not the server's.
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

MESSAGE = b"x" * 1_000


async def written(pause, options):
    """How much a handler has written when its writes stand still for two seconds."""
    count = 0

    async def stream(_, context):
        nonlocal count
        while True:
            await context.write(MESSAGE)
            count += 1
            if pause and count % 50 == 0:
                await asyncio.sleep(pause)

    class Handler(grpc.GenericRpcHandler):
        def service(self, _):
            return grpc.unary_stream_rpc_method_handler(stream)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        call = channel.unary_stream("/demo/Watch")(b"")
        await call.initial_metadata()
        before = -1
        while count != before:
            before = count
            await asyncio.sleep(2)
        call.cancel()
    await server.stop(0)
    return count * len(MESSAGE)


async def main():
    at_once = await written(0.0, ())
    paced = await written(0.05, ())
    without = await written(0.0, (("grpc.http2.bdp_probe", 0),))
    print(f"grpcio {grpc.__version__}: written before `write` waits, though nobody reads: {at_once:,} bytes at once, "
          f"{paced:,} with pauses, {without:,} without the probe")
    return 0 if at_once > 2_000_000 and paced > 2_000_000 and without < 500_000 else 1


sys.exit(asyncio.run(main()))
PY
venv/bin/python demo.py
