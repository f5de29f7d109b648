"""The gRPC server: services, health per service, reflection, limits, TLS."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from headstart.v1 import (
    dataset_pb2,
    dataset_pb2_grpc,
    embedding_pb2,
    embedding_pb2_grpc,
    export_pb2,
    export_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    prediction_pb2,
    prediction_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)

from headstart_server.core.calls import Calls
from headstart_server.rpc.certificates import Certificates, server_credentials
from headstart_server.rpc.connection_options import ConnectionLimits, connection_options
from headstart_server.rpc.gate import Gate
from headstart_server.rpc.inference import grpc_service_pb2 as inference_pb2
from headstart_server.rpc.inference import handlers as inference
from headstart_server.rpc.interceptor import Boundary
from headstart_server.rpc.listening import require_free_port
from headstart_server.rpc.reflection import SERVICES as REFLECTION
from headstart_server.rpc.reflection import add_reflection

_SERVICES: dict[str, tuple[Any, Callable[[Any, Any], None]]] = {
    "TrainingService": (training_pb2, training_pb2_grpc.add_TrainingServiceServicer_to_server),
    "PredictionService": (prediction_pb2, prediction_pb2_grpc.add_PredictionServiceServicer_to_server),
    "ExportService": (export_pb2, export_pb2_grpc.add_ExportServiceServicer_to_server),
    "DatasetService": (dataset_pb2, dataset_pb2_grpc.add_DatasetServiceServicer_to_server),
    "ModelService": (model_pb2, model_pb2_grpc.add_ModelServiceServicer_to_server),
    "EmbeddingService": (embedding_pb2, embedding_pb2_grpc.add_EmbeddingServiceServicer_to_server),
    "ServerService": (server_pb2, server_pb2_grpc.add_ServerServiceServicer_to_server),
    inference.SERVICE: (inference_pb2, inference.add_servicer),
}
SERVICE_NAMES = tuple(_SERVICES)
_LAST_SECONDS = 1.0


@dataclass(frozen=True)
class Endpoint:
    """Where to listen, and how."""

    host: str
    port: int
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    certificates: Certificates | None = None
    """None: without TLS."""


class _GenericHandlers:
    """What generated code adds servicers to: each method is found by its path when it is called.

    grpc.aio would wait for a call of every method that is registered, and does so anew at each call: a fifth of what a
    call costs with as many methods as there are here (findings/grpc_aio_waits_for_every_method_at_each_call.sh).
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Nothing: the generic handlers, which generated code adds as well, know all methods."""


class Server:
    """A gRPC server over a set of servicers, by service name."""

    def __init__(self, endpoint: Endpoint, servicers: Mapping[str, Any], gate: Gate, calls: Calls) -> None:
        self._calls = calls
        options = connection_options(endpoint.limits)
        self._server = grpc.aio.server(interceptors=[Boundary(gate, calls)], options=options)
        self._health = health.aio.HealthServicer()
        names = [*REFLECTION, health.SERVICE_NAME]
        handlers = _GenericHandlers(self._server)
        for name, (module, add) in _SERVICES.items():
            add(servicers[name], handlers)
            names.append(module.DESCRIPTOR.services_by_name[name].full_name)
        self._names = ["", *names]  # the empty name stands for the server as a whole (grpc.health.v1)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, handlers)
        add_reflection(self._server, names, inference_pb2.DESCRIPTOR.pool)
        self.port = self._bind(endpoint)

    async def start(self) -> None:
        """Listens, and reports every service as serving."""
        await self._server.start()
        for name in self._names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def report(self, serving: Mapping[str, bool]) -> None:
        """Reports which services can be used, by their names without a package; the server as a whole serves if all
        can."""
        for name in self._names:
            can = serving.get(name.rpartition(".")[2], True) if name else all(serving.values())
            status = health_pb2.HealthCheckResponse.SERVING if can else health_pb2.HealthCheckResponse.NOT_SERVING
            await self._health.set(name, status)

    async def stop(self, grace_seconds: float) -> None:
        """Reports not serving and refuses calls, lets those in hand finish for a while, and stops.

        Until then it listens: who has heard of no other server yet is told when to try again, and health checks are
        answered.
        """
        end = time.monotonic() + grace_seconds
        await self._health.enter_graceful_shutdown()
        self._calls.stop()
        await self._calls.ended(grace_seconds)
        # answers that are made may still be on their way
        await self._server.stop(min(_LAST_SECONDS, max(0.0, end - time.monotonic())))

    def _bind(self, endpoint: Endpoint) -> int:
        require_free_port(endpoint.host, endpoint.port, "--port")
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        address = f"{host}:{endpoint.port}"
        if endpoint.certificates is None:
            return int(self._server.add_insecure_port(address))
        return int(self._server.add_secure_port(address, server_credentials(endpoint.certificates)))
