"""A real gRPC server in the test's own event loop, over servicers that the test brings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from headstart.v1 import (
    dataset_pb2_grpc,
    embedding_pb2_grpc,
    export_pb2_grpc,
    model_pb2_grpc,
    prediction_pb2_grpc,
    server_pb2_grpc,
    training_pb2_grpc,
)
from headstart_server.core.calls import Calls
from headstart_server.rpc.connection_options import ConnectionLimits
from headstart_server.rpc.gate import Gate
from headstart_server.rpc.server import Endpoint, Server

from tests.support.gates import open_gate


class EmptyInference:
    """As the empty servicers that gRPC generates."""

    def __getattr__(self, name: str) -> Any:
        async def unimplemented(request: Any, context: Any) -> Any:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not here")

        return unimplemented


_EMPTY: dict[str, Callable[[], object]] = {
    "TrainingService": training_pb2_grpc.TrainingServiceServicer,
    "PredictionService": prediction_pb2_grpc.PredictionServiceServicer,
    "ExportService": export_pb2_grpc.ExportServiceServicer,
    "DatasetService": dataset_pb2_grpc.DatasetServiceServicer,
    "ModelService": model_pb2_grpc.ModelServiceServicer,
    "EmbeddingService": embedding_pb2_grpc.EmbeddingServiceServicer,
    "ServerService": server_pb2_grpc.ServerServiceServicer,
    "GRPCInferenceService": EmptyInference,
}


@asynccontextmanager
async def serving(
    *, calls: Calls | None = None, limits: ConnectionLimits | None = None, gate: Gate | None = None, **servicers: object
) -> AsyncIterator[Server]:
    """A server of these servicers, by service name; the other services are empty. Everybody may call."""
    every = {name: servicers.get(name) or empty() for name, empty in _EMPTY.items()}
    server = Server(
        Endpoint("127.0.0.1", 0, limits or ConnectionLimits()), every, gate or open_gate(), calls or Calls(10_000)
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


@asynccontextmanager
async def served(
    *, calls: Calls | None = None, limits: ConnectionLimits | None = None, gate: Gate | None = None, **servicers: object
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server as `serving`."""
    async with (
        serving(calls=calls, limits=limits, gate=gate, **servicers) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield channel
