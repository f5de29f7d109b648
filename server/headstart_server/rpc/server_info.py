"""ServerService."""

import math
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import torch
from headstart.v1 import server_pb2 as pb
from headstart.v1 import server_pb2_grpc

from headstart_server.core.executors import Executor
from headstart_server.core.memory import available_bytes
from headstart_server.core.versions import version_of
from headstart_server.data.images.decode import ImageLimits
from headstart_server.encoders.catalog import encoder_types
from headstart_server.encoders.precision import fast_precision
from headstart_server.encoders.sources import ModelSources
from headstart_server.rpc import contract
from headstart_server.rpc.messages import timestamp
from headstart_server.settings import Settings
from headstart_server.spec.yaml_reader import MAX_BYTES

_LIBRARIES = (
    "torch",
    "transformers",
    "torchvision",
    "onnx",
    "onnxruntime",
    "pyarrow",
    "grpcio",
    "protobuf",
    "ray",
    "lightgbm",
    "peft",
)
_LOOK_SECONDS = 2.0
"""How old the list of models on hand may be: looking walks the model root."""


def limits_message(settings: Settings, images: ImageLimits) -> pb.ServerLimits:
    """What the server takes at most."""
    return pb.ServerLimits(
        max_message_bytes=settings.max_message_bytes,
        max_dataset_bytes=settings.max_dataset_bytes,
        max_predict_rows=settings.max_predict_rows,
        max_queued_jobs=settings.max_queued_jobs,
        max_image_bytes=images.max_bytes,
        max_image_pixels=images.max_pixels,
        max_image_ratio=images.max_ratio,
        max_plan_bytes=settings.max_plan_bytes,
    )


class ServerServicer(server_pb2_grpc.ServerServiceServicer):
    """Describes the server: what cannot change is described once, the models on hand every few seconds."""

    def __init__(
        self,
        sources: ModelSources,
        limits: pb.ServerLimits,
        files: Executor,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources, self._files, self._clock = sources, files, clock
        self._on_hand, self._looked = list[str](), -math.inf
        self._lasting = _lasting(sources, limits)
        self._encoders: list[pb.EncoderInfo] = []

    async def GetServerInfo(self, request: pb.GetServerInfoRequest, context: Any) -> pb.ServerInfo:  # noqa: N802
        """Describes."""
        if self._clock() - self._looked > _LOOK_SECONDS:
            self._on_hand = await self._files.run(self._sources.on_hand)
            self._looked = self._clock()
        if not self._encoders:
            # by the first who asks: listing torchvision's takes its import, more than a second of the start
            self._encoders = await self._files.run(_encoders)
        info = pb.ServerInfo(pretrained_models=self._on_hand, encoders=self._encoders)
        info.MergeFrom(self._lasting)
        info.devices[0].memory_bytes = available_bytes()  # the CPU's, which comes first
        return info


def _lasting(sources: ModelSources, limits: pb.ServerLimits) -> pb.ServerInfo:
    """What stays as it is while the server runs."""
    limits.max_spec_bytes = MAX_BYTES
    cpu = pb.Device(
        name="cpu",
        description=f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        fast_precision=fast_precision("cpu"),
    )
    return pb.ServerInfo(
        version=version_of("headstart"),
        start_time=timestamp(datetime.now(UTC)),
        limits=limits,
        devices=[cpu, *(_gpu(index) for index in range(torch.cuda.device_count()))],
        library_versions={name: version for name in _LIBRARIES if (version := version_of(name))},
        hub_allowed=sources.hub_allowed,
        contract=pb.Contract(package=contract.PACKAGE, sha256=contract.digest(), path=contract.PATH),
    )


def _encoders() -> list[pb.EncoderInfo]:
    return [
        pb.EncoderInfo(
            type=item.name,
            feature_types=item.feature_types,
            pretrained=item.pretrained,
            default_model=item.default_model,
            variants=item.variants,
        )
        for item in encoder_types()
    ]


def _gpu(index: int) -> pb.Device:
    properties = torch.cuda.get_device_properties(index)
    return pb.Device(
        name=f"cuda:{index}",
        description=properties.name,
        memory_bytes=properties.total_memory,
        fast_precision=fast_precision("cuda"),
    )
