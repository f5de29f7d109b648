"""A stub of the Open Inference Protocol, and its servicer over what stands in for models."""

from __future__ import annotations

from typing import Any

import grpc
from headstart_server.core.calls import Calls
from headstart_server.core.errors import DataLossError, NotFoundError
from headstart_server.core.executors import Executors
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.servicer import InferenceServicer
from headstart_server.service.models import ModelService
from headstart_server.service.prediction import PredictionService
from headstart_server.serving.batcher import Batcher

from tests.support.fake_predictor import OUTPUT, FakeModelPool, FakePredictor
from tests.support.infer_requests import answered, infer_request
from tests.support.model_names import plain_names

SERVICE = "/inference.GRPCInferenceService/"


class Stub:
    """Calls the protocol's methods over a channel."""

    def __init__(self, channel: grpc.aio.Channel, token: str = "") -> None:
        self._channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, rpc: str, request: Any) -> Any:
        """One request, one answer."""
        method = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[rpc]
        return self._channel.unary_unary(
            SERVICE + rpc,
            request_serializer=type(request).SerializeToString,
            response_deserializer=getattr(pb, method.output_type.name).FromString,
        )(request, timeout=30, metadata=self._metadata)

    def stream(self, requests: Any = None, *metadata: tuple[str, str]) -> Any:
        """A stream of inferences."""
        return self._channel.stream_stream(
            f"{SERVICE}ModelStreamInfer",
            request_serializer=lambda item: item if isinstance(item, bytes) else item.SerializeToString(),
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )(requests, timeout=30, metadata=(*self._metadata, *metadata))


class Bundles:
    """Stands in for a tenant's models that are not loaded: one is damaged."""

    models: Bundles

    def of(self, tenant: str) -> Bundles:
        """Of any tenant."""
        self.models = self
        return self

    def get(self, identifier: str) -> Any:
        """Raises DataLossError or NotFoundError."""
        if identifier == "damaged":
            raise DataLossError("models/damaged is damaged")
        raise NotFoundError(f"models/{identifier} does not exist", field="name")


def servicer_of(predictor: FakePredictor, batcher: Batcher, calls: Calls | None = None) -> InferenceServicer:
    """The protocol over a predictor that stands in for every model but `nobodys` and `damaged`."""
    pool, tenants, executors = FakeModelPool(predictor), Bundles(), Executors()
    anything: Any = pool, tenants
    predictions = PredictionService(anything[0], batcher, 100, executors)
    models = ModelService(anything[1], anything[0], executors, plain_names())
    return InferenceServicer(models, predictions, plain_names(), lambda: calls is None or not calls.stopping)


def request(*numbers: float, model: str = "m1", **values: Any) -> pb.ModelInferRequest:
    """Rows of numbers for a model; `values` are other fields."""
    found = infer_request(model, x=("FP64", list(numbers)))
    for name, value in values.items():
        setattr(found, name, value)
    return found


def numbers(response: pb.ModelInferResponse) -> Any:
    """The predictions of an answer."""
    return answered(response)[OUTPUT]
