"""A whole server of fakes on a free port, for tests of the client and of its command line."""

# ruff: noqa: N802  (methods are named as in the protos)

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import grpc
from headstart.v1 import model_pb2, server_pb2
from headstart.v1.dataset_pb2_grpc import add_DatasetServiceServicer_to_server
from headstart.v1.embedding_pb2_grpc import add_EmbeddingServiceServicer_to_server
from headstart.v1.export_pb2_grpc import add_ExportServiceServicer_to_server
from headstart.v1.model_pb2_grpc import ModelServiceServicer, add_ModelServiceServicer_to_server
from headstart.v1.prediction_pb2_grpc import add_PredictionServiceServicer_to_server
from headstart.v1.server_pb2_grpc import ServerServiceServicer, add_ServerServiceServicer_to_server
from headstart.v1.training_pb2_grpc import add_TrainingServiceServicer_to_server

from tests.support.fake_files import FakeDatasets, FakeExport
from tests.support.fake_prediction import FakeEmbedding, FakePrediction
from tests.support.fake_training import FakeTraining
from tests.support.refusals import not_found


class FakeModels(ModelServiceServicer):
    """Knows `models/m1`, which reads `inputs`: column to type."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.inputs = {"review": "text"}
        self.reads = 0
        self.filters: list[str] = []
        self.updates: list[model_pb2.UpdateModelRequest] = []
        self.aliases = {"models/old@live": "models/m1"}
        self.expected = ""

    def GetModel(self, request: model_pb2.GetModelRequest, context: grpc.ServicerContext) -> model_pb2.Model:
        """Read the model."""
        if request.name != "models/m1":
            not_found(request.name).abort(context)
        self.reads += 1
        inputs = [model_pb2.InputColumn(column=name, type=kind, feature=name) for name, kind in self.inputs.items()]
        return model_pb2.Model(
            name="models/m1", display_name="reviews", job="trainJobs/j1", size_bytes=2048, inputs=inputs
        )

    def ListModels(
        self, request: model_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> model_pb2.ListModelsResponse:
        """List the model."""
        self.filters.append(request.filter)
        return model_pb2.ListModelsResponse(models=[model_pb2.Model(name="models/m1", display_name="reviews")])

    def UpdateModel(self, request: model_pb2.UpdateModelRequest, context: grpc.ServicerContext) -> model_pb2.Model:
        """Note the changes."""
        self.updates.append(request)
        return request.model

    def SetModelAlias(
        self, request: model_pb2.SetModelAliasRequest, context: grpc.ServicerContext
    ) -> model_pb2.ModelAlias:
        """Keep the alias."""
        self.expected = request.expected_model
        self.aliases[request.name] = request.model
        return model_pb2.ModelAlias(name=request.name, model=request.model)

    def GetModelAlias(
        self, request: model_pb2.GetModelAliasRequest, context: grpc.ServicerContext
    ) -> model_pb2.ModelAlias:
        """Read an alias."""
        if request.name not in self.aliases:
            not_found(request.name).abort(context)
        return model_pb2.ModelAlias(name=request.name, model=self.aliases[request.name])

    def ListModelAliases(
        self, request: model_pb2.ListModelAliasesRequest, context: grpc.ServicerContext
    ) -> model_pb2.ListModelAliasesResponse:
        """List the aliases of a model, or all."""
        found = [(name, model) for name, model in self.aliases.items() if request.model in ("", model)]
        return model_pb2.ListModelAliasesResponse(
            model_aliases=[model_pb2.ModelAlias(name=name, model=model) for name, model in found]
        )

    def DeleteModelAlias(
        self, request: model_pb2.DeleteModelAliasRequest, context: grpc.ServicerContext
    ) -> model_pb2.DeleteModelAliasResponse:
        """Forget an alias."""
        del self.aliases[request.name]
        return model_pb2.DeleteModelAliasResponse()

    def DeleteModel(
        self, request: model_pb2.DeleteModelRequest, context: grpc.ServicerContext
    ) -> model_pb2.DeleteModelResponse:
        """Note the deletion."""
        self.deleted.append(request.name)
        return model_pb2.DeleteModelResponse()


class FakeInfo(ServerServiceServicer):
    """A server that takes three rows a request."""

    def GetServerInfo(
        self, request: server_pb2.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> server_pb2.ServerInfo:
        """Describe it."""
        info = server_pb2.ServerInfo(version="9.9.9", limits=server_pb2.ServerLimits(max_predict_rows=3))
        info.devices.add(name="cpu", description="a fake", memory_bytes=1 << 30, fast_precision="bf16")
        info.encoders.add(type="bert", feature_types=["text"], pretrained=True, default_model="bert-base-uncased")
        info.pretrained_models.append("minilm")
        return info


class FakeServer:
    """All services; each keeps what it was asked, and takes instructions as attributes."""

    def __init__(self, address: str = "localhost:0") -> None:
        self.training = FakeTraining()
        self.prediction = FakePrediction()
        self.embedding = FakeEmbedding()
        self.datasets = FakeDatasets()
        self.export = FakeExport()
        self.models = FakeModels()
        self._pool = ThreadPoolExecutor(max_workers=8)
        self._server = grpc.server(self._pool)
        parts: list[tuple[Any, Any]] = [
            (add_TrainingServiceServicer_to_server, self.training),
            (add_PredictionServiceServicer_to_server, self.prediction),
            (add_EmbeddingServiceServicer_to_server, self.embedding),
            (add_DatasetServiceServicer_to_server, self.datasets),
            (add_ExportServiceServicer_to_server, self.export),
            (add_ModelServiceServicer_to_server, self.models),
            (add_ServerServiceServicer_to_server, FakeInfo()),
        ]
        for add, servicer in parts:
            add(servicer, self._server)
        self.address = f"localhost:{self._server.add_insecure_port(address)}"

    def __enter__(self) -> FakeServer:
        """Start it."""
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it at once."""
        self._server.stop(None).wait()
        self._pool.shutdown()
