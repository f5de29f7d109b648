"""Calls a server by KServe's own client, for a test that has it in an environment apart: JSON in, JSON out.

Run as a script: KServe's messages and Triton's have the same names, and cannot be in one process.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.infer_type import RequestedOutput


def _input(name: str, datatype: str, values: list[Any], *, raw: bool) -> Any:
    array: Any = np.array(values, {"BYTES": "O", "FP64": "f8"}[datatype])
    tensor = InferInput(name, list(array.shape), datatype)
    if raw:
        tensor.set_data_from_numpy(array)
    else:
        plain = array.ravel().tolist()
        tensor.data = [item.encode() for item in plain] if datatype == "BYTES" else plain
    return tensor


def _output(output: Any) -> Any:
    values = output.as_numpy()
    return [item.decode() for item in values.ravel()] if output.datatype == "BYTES" else values.tolist()


async def _answers(asked: dict[str, Any]) -> dict[str, Any]:
    async with InferenceGRPCClient(asked["address"]) as client:
        found: dict[str, Any] = {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model": await client.is_model_ready(asked["model"]),
        }
        for name, raw in (("raw", True), ("typed", False)):
            inputs = [_input(*column, raw=raw) for column in asked["columns"]]
            request = InferRequest(asked["model"], inputs, request_id=name)
            response = await client.infer(request)
            found[name] = {"id": response.id, **{item.name: _output(item) for item in response.outputs}}
        wanted = [RequestedOutput("verdict", {"classification": 1})]
        inputs = [_input(*column, raw=True) for column in asked["columns"]]
        response = await client.infer(InferRequest(asked["model"], inputs, request_outputs=wanted))
        found["classified"] = {item.name: _output(item) for item in response.outputs}
        try:
            await client.infer(InferRequest(asked["model"], inputs[:1]))
        except grpc.RpcError as error:
            found["refused"] = [error.code().name, error.details()]
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_answers(json.load(sys.stdin)))))
