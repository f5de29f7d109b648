"""ServerService."""

import importlib.metadata
import platform
from datetime import UTC, datetime
from typing import Any

import torch
from headstart.v1 import server_pb2 as pb
from headstart.v1 import server_pb2_grpc

from headstart_server.core.memory import available_bytes
from headstart_server.encoders.catalog import encoder_types
from headstart_server.encoders.precision import fast_precision
from headstart_server.encoders.sources import ModelSources
from headstart_server.rpc.messages import timestamp
from headstart_server.spec.yaml_reader import MAX_BYTES

_LIBRARIES = ("torch", "transformers", "torchvision", "onnx", "onnxruntime", "pyarrow", "grpcio", "protobuf", "ray")


class ServerServicer(server_pb2_grpc.ServerServiceServicer):
    """Describes the server."""

    def __init__(self, sources: ModelSources, limits: pb.ServerLimits) -> None:
        self._sources, self._limits = sources, limits
        self._limits.max_spec_bytes = MAX_BYTES
        self._started = timestamp(datetime.now(UTC))

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Any) -> pb.ServerInfo:  # noqa: N802
        """Describes."""
        return pb.ServerInfo(
            version=_version("headstart"),
            start_time=self._started,
            limits=self._limits,
            devices=_devices(),
            encoders=[
                pb.EncoderInfo(
                    type=item.name,
                    feature_types=item.feature_types,
                    pretrained=item.pretrained,
                    default_model=item.default_model,
                )
                for item in encoder_types()
            ],
            pretrained_models=self._sources.on_hand(),
            library_versions={name: version for name in _LIBRARIES if (version := _version(name))},
            hub_allowed=self._sources.hub_allowed,
        )


def _devices() -> list[pb.Device]:
    cpu = pb.Device(
        name="cpu",
        description=f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        memory_bytes=available_bytes(),
        fast_precision=fast_precision("cpu"),
    )
    return [cpu, *(_gpu(index) for index in range(torch.cuda.device_count()))]


def _gpu(index: int) -> pb.Device:
    properties = torch.cuda.get_device_properties(index)
    return pb.Device(
        name=f"cuda:{index}",
        description=properties.name,
        memory_bytes=properties.total_memory,
        fast_precision=fast_precision("cuda"),
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
