#!/usr/bin/env bash
# One would guess that Triton's Python client tells, of an error within a stream, which request it answers: the answer has a
# response with the request's id beside its error message.
#
# In truth the callback is given the message alone (and None for the result): `ModelStreamInferResponse.infer_response` of an answer
# with an error is thrown away, for threads and for asyncio. The exception has no status either. A server that wants its callers to
# know has to say so in the message.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'tritonclient[grpc]==2.73.0'
cd "$folder"
venv/bin/python - <<'PY'
import asyncio
import queue
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2, service_pb2_grpc


class Failing(service_pb2_grpc.GRPCInferenceServiceServicer):
    def ModelStreamInfer(self, requests, context):
        for request in requests:
            response = service_pb2.ModelInferResponse(id=request.id, model_name=request.model_name)
            yield service_pb2.ModelStreamInferResponse(error_message="it failed", infer_response=response)


def inputs(library):
    tensor = library.InferInput("x", [1], "FP32")
    tensor.set_data_from_numpy(np.ones(1, np.float32))
    return [tensor]


server = grpc.server(ThreadPoolExecutor(2))
service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Failing(), server)
address = f"localhost:{server.add_insecure_port('localhost:0')}"
server.start()
answers = queue.Queue()
client = triton.InferenceServerClient(address)
client.start_stream(lambda result, error: answers.put((result, error)))
client.async_stream_infer("m", inputs(triton), request_id="request-7")
found = [answers.get(timeout=30)]
client.stop_stream()


async def in_asyncio():
    async def requests():
        yield {"model_name": "m", "inputs": inputs(triton_aio), "request_id": "request-7"}

    async with triton_aio.InferenceServerClient(address) as client:
        return [answer async for answer in client.stream_infer(requests())]


for result, error in [*found, *asyncio.run(in_asyncio())]:
    print("result:", result, "| error:", repr(error.message()), "| status:", error.status())
    assert result is None and error.status() is None and "request-7" not in str(vars(error))
server.stop(None)
PY
echo "as described"
