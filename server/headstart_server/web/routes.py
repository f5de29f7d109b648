"""Which RPC answers which HTTP request.

Paths and verbs follow the rules by which Google's APIs are offered as JSON (google/api/http.proto, AIP-127): a resource
is at its name below `/api/v1`, and what is neither read, listed nor deleted is posted to `NAME:verb`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from google.protobuf.message import Message
from headstart.v1 import dataset_pb2, embedding_pb2, export_pb2, model_pb2, prediction_pb2, server_pb2, training_pb2

ROOT = "/api/v1"
_MODULES: Mapping[str, ModuleType] = {
    "TrainingService": training_pb2,
    "ModelService": model_pb2,
    "PredictionService": prediction_pb2,
    "ExportService": export_pb2,
    "DatasetService": dataset_pb2,
    "EmbeddingService": embedding_pb2,
    "ServerService": server_pb2,
}


@dataclass(frozen=True)
class Route:
    """One unary RPC over HTTP."""

    verb: str
    path: str
    """Below `ROOT`; `{id}` is the resource's."""
    service: str
    rpc: str
    resource: str = "name"
    """The field of the request that names the resource; a path of fields where that is within a message."""
    body: bool = False
    """Whether the request is the body, as JSON; otherwise it is the query."""
    named: str = ""
    """The collection in the resource's name; empty: that of the path."""

    @property
    def has_resource(self) -> bool:
        """Whether the path names one."""
        return "{id}" in self.path

    @property
    def service_name(self) -> str:
        """With its package."""
        return str(_MODULES[self.service].DESCRIPTOR.services_by_name[self.service].full_name)

    @property
    def collection(self) -> str:
        """Of the resource, e.g. `models`."""
        return self.named or self.path.split("/")[1]

    def request(self) -> Message:
        """An empty request."""
        module = _MODULES[self.service]
        name: Any = module.DESCRIPTOR.services_by_name[self.service].methods_by_name[self.rpc].input_type.name
        message: Message = getattr(module, name)()
        return message


ROUTES = (
    Route("GET", "/trainJobs", "TrainingService", "ListTrainJobs"),
    Route("POST", "/trainJobs", "TrainingService", "CreateTrainJob", body=True),
    Route("POST", "/trainJobs:plan", "TrainingService", "PlanTrainJob", body=True),
    Route("POST", "/trainJobs:suggestSpec", "TrainingService", "SuggestSpec", body=True),
    Route("GET", "/trainJobs/{id}:events", "TrainingService", "ListTrainJobEvents"),
    Route("GET", "/trainJobs/{id}", "TrainingService", "GetTrainJob"),
    Route("DELETE", "/trainJobs/{id}", "TrainingService", "DeleteTrainJob"),
    Route("POST", "/trainJobs/{id}:cancel", "TrainingService", "CancelTrainJob"),
    Route("POST", "/trainJobs/{id}:pause", "TrainingService", "PauseTrainJob"),
    Route("POST", "/trainJobs/{id}:resume", "TrainingService", "ResumeTrainJob"),
    Route("GET", "/models", "ModelService", "ListModels"),
    Route("GET", "/models/{id}", "ModelService", "GetModel"),
    Route("PATCH", "/models/{id}", "ModelService", "UpdateModel", resource="model.name", body=True),
    Route("DELETE", "/models/{id}", "ModelService", "DeleteModel"),
    Route("POST", "/models:predictMany", "PredictionService", "PredictMany", body=True),
    Route("POST", "/models/{id}:predict", "PredictionService", "Predict", resource="model", body=True),
    Route("GET", "/modelAliases", "ModelService", "ListModelAliases"),
    Route("GET", "/modelAliases/{id}", "ModelService", "GetModelAlias", named="models"),
    Route("PUT", "/modelAliases/{id}", "ModelService", "SetModelAlias", body=True, named="models"),
    Route("DELETE", "/modelAliases/{id}", "ModelService", "DeleteModelAlias", named="models"),
    Route("GET", "/exportJobs", "ExportService", "ListExportJobs"),
    Route("POST", "/exportJobs", "ExportService", "CreateExportJob", body=True),
    Route("GET", "/exportJobs/{id}", "ExportService", "GetExportJob"),
    Route("POST", "/exportJobs/{id}:cancel", "ExportService", "CancelExportJob"),
    Route("GET", "/artifacts", "ExportService", "ListArtifacts"),
    Route("GET", "/artifacts/{id}", "ExportService", "GetArtifact"),
    Route("DELETE", "/artifacts/{id}", "ExportService", "DeleteArtifact"),
    Route("GET", "/datasets", "DatasetService", "ListDatasets"),
    Route("GET", "/datasets/{id}", "DatasetService", "GetDataset"),
    Route("DELETE", "/datasets/{id}", "DatasetService", "DeleteDataset"),
    Route("GET", "/embeddingSpaces", "EmbeddingService", "ListEmbeddingSpaces"),
    Route("DELETE", "/embeddingSpaces/{id}", "EmbeddingService", "DeleteEmbeddingSpace"),
    Route("GET", "/server", "ServerService", "GetServerInfo"),
)
