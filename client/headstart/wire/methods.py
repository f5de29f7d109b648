"""Every RPC with its types, so that programs name calls instead of building paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message

from headstart.v1 import (
    dataset_pb2,
    embedding_pb2,
    export_pb2,
    model_pb2,
    prediction_pb2,
    server_pb2,
    training_pb2,
)

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


@dataclass(frozen=True)
class Method(Generic[Q, A]):
    """One RPC: its path, its message types, and which sides stream, whether it changes nothing."""

    service: str
    name: str
    request: type[Q]
    response: type[A]
    client_streams: bool = False
    server_streams: bool = False
    repeatable: bool = False

    @property
    def path(self) -> str:
        """Path of the HTTP/2 request."""
        return f"/headstart.v1.{self.service}/{self.name}"


_T, _P, _X, _D = "TrainingService", "PredictionService", "ExportService", "DatasetService"
_M, _E, _S = "ModelService", "EmbeddingService", "ServerService"

TRAIN_JOB = Method(_T, "TrainJob", training_pb2.TrainJobRequest, training_pb2.TrainJobResponse, server_streams=True)
WATCH_JOB = Method(
    _T, "WatchTrainJob", training_pb2.WatchTrainJobRequest, training_pb2.WatchTrainJobResponse, server_streams=True
)
GET_JOB = Method(_T, "GetTrainJob", training_pb2.GetTrainJobRequest, training_pb2.TrainJob, repeatable=True)
LIST_JOBS = Method(
    _T, "ListTrainJobs", training_pb2.ListTrainJobsRequest, training_pb2.ListTrainJobsResponse, repeatable=True
)
LIST_JOB_EVENTS = Method(
    _T,
    "ListTrainJobEvents",
    training_pb2.ListTrainJobEventsRequest,
    training_pb2.ListTrainJobEventsResponse,
    repeatable=True,
)
WATCH_JOBS = Method(
    _T, "WatchTrainJobs", training_pb2.WatchTrainJobsRequest, training_pb2.WatchTrainJobsResponse, server_streams=True
)
CREATE_JOB = Method(_T, "CreateTrainJob", training_pb2.CreateTrainJobRequest, training_pb2.TrainJob)
UPDATE_JOB = Method(_T, "UpdateTrainJob", training_pb2.UpdateTrainJobRequest, training_pb2.TrainJob, repeatable=True)
CANCEL_JOB = Method(_T, "CancelTrainJob", training_pb2.CancelTrainJobRequest, training_pb2.TrainJob)
PAUSE_JOB = Method(_T, "PauseTrainJob", training_pb2.PauseTrainJobRequest, training_pb2.TrainJob)
RESUME_JOB = Method(_T, "ResumeTrainJob", training_pb2.ResumeTrainJobRequest, training_pb2.TrainJob)
DELETE_JOB = Method(_T, "DeleteTrainJob", training_pb2.DeleteTrainJobRequest, training_pb2.DeleteTrainJobResponse)
PLAN_JOB = Method(
    _T, "PlanTrainJob", training_pb2.PlanTrainJobRequest, training_pb2.PlanTrainJobResponse, repeatable=True
)
SUGGEST_SPEC = Method(
    _T, "SuggestSpec", training_pb2.SuggestSpecRequest, training_pb2.SuggestSpecResponse, repeatable=True
)

PREDICT = Method(_P, "Predict", prediction_pb2.PredictRequest, prediction_pb2.PredictResponse, repeatable=True)
PREDICT_MANY = Method(
    _P, "PredictMany", prediction_pb2.PredictManyRequest, prediction_pb2.PredictManyResponse, repeatable=True
)
PREDICT_DATASET = Method(
    _P,
    "PredictDataset",
    prediction_pb2.PredictDatasetRequest,
    prediction_pb2.PredictDatasetResponse,
    server_streams=True,
)
EVALUATE_MODEL = Method(
    _P,
    "EvaluateModel",
    prediction_pb2.EvaluateModelRequest,
    prediction_pb2.EvaluateModelResponse,
    server_streams=True,
)
PREDICT_STREAM = Method(
    _P,
    "PredictStream",
    prediction_pb2.PredictStreamRequest,
    prediction_pb2.PredictStreamResponse,
    client_streams=True,
    server_streams=True,
)

EXPORT = Method(_X, "Export", export_pb2.ExportRequest, export_pb2.ExportResponse, server_streams=True)
CREATE_EXPORT_JOB = Method(
    _X, "CreateExportJob", export_pb2.CreateExportJobRequest, export_pb2.ExportJob, repeatable=True
)
GET_EXPORT_JOB = Method(_X, "GetExportJob", export_pb2.GetExportJobRequest, export_pb2.ExportJob, repeatable=True)
LIST_EXPORT_JOBS = Method(
    _X, "ListExportJobs", export_pb2.ListExportJobsRequest, export_pb2.ListExportJobsResponse, repeatable=True
)
WATCH_EXPORT_JOB = Method(
    _X, "WatchExportJob", export_pb2.WatchExportJobRequest, export_pb2.WatchExportJobResponse, server_streams=True
)
CANCEL_EXPORT_JOB = Method(
    _X, "CancelExportJob", export_pb2.CancelExportJobRequest, export_pb2.ExportJob, repeatable=True
)
GET_ARTIFACT = Method(_X, "GetArtifact", export_pb2.GetArtifactRequest, export_pb2.Artifact, repeatable=True)
LIST_ARTIFACTS = Method(
    _X, "ListArtifacts", export_pb2.ListArtifactsRequest, export_pb2.ListArtifactsResponse, repeatable=True
)
DOWNLOAD_ARTIFACT = Method(
    _X,
    "DownloadArtifact",
    export_pb2.DownloadArtifactRequest,
    export_pb2.DownloadArtifactResponse,
    server_streams=True,
)
DELETE_ARTIFACT = Method(_X, "DeleteArtifact", export_pb2.DeleteArtifactRequest, export_pb2.DeleteArtifactResponse)

UPLOAD_DATASET = Method(_D, "UploadDataset", dataset_pb2.UploadDatasetRequest, dataset_pb2.Dataset, client_streams=True)
GET_UPLOAD = Method(_D, "GetUpload", dataset_pb2.GetUploadRequest, dataset_pb2.Upload, repeatable=True)
GET_DATASET = Method(_D, "GetDataset", dataset_pb2.GetDatasetRequest, dataset_pb2.Dataset, repeatable=True)
LIST_DATASETS = Method(
    _D, "ListDatasets", dataset_pb2.ListDatasetsRequest, dataset_pb2.ListDatasetsResponse, repeatable=True
)
DELETE_DATASET = Method(_D, "DeleteDataset", dataset_pb2.DeleteDatasetRequest, dataset_pb2.DeleteDatasetResponse)

GET_MODEL = Method(_M, "GetModel", model_pb2.GetModelRequest, model_pb2.Model, repeatable=True)
LIST_MODELS = Method(_M, "ListModels", model_pb2.ListModelsRequest, model_pb2.ListModelsResponse, repeatable=True)
UPDATE_MODEL = Method(_M, "UpdateModel", model_pb2.UpdateModelRequest, model_pb2.Model, repeatable=True)
SET_ALIAS = Method(_M, "SetModelAlias", model_pb2.SetModelAliasRequest, model_pb2.ModelAlias)
GET_ALIAS = Method(_M, "GetModelAlias", model_pb2.GetModelAliasRequest, model_pb2.ModelAlias, repeatable=True)
LIST_ALIASES = Method(
    _M, "ListModelAliases", model_pb2.ListModelAliasesRequest, model_pb2.ListModelAliasesResponse, repeatable=True
)
DELETE_ALIAS = Method(_M, "DeleteModelAlias", model_pb2.DeleteModelAliasRequest, model_pb2.DeleteModelAliasResponse)
DELETE_MODEL = Method(_M, "DeleteModel", model_pb2.DeleteModelRequest, model_pb2.DeleteModelResponse)

EMBED = Method(_E, "Embed", embedding_pb2.EmbedRequest, embedding_pb2.EmbedResponse, repeatable=True)
EMBED_STREAM = Method(
    _E,
    "EmbedStream",
    embedding_pb2.EmbedStreamRequest,
    embedding_pb2.EmbedStreamResponse,
    client_streams=True,
    server_streams=True,
)
LIST_SPACES = Method(
    _E,
    "ListEmbeddingSpaces",
    embedding_pb2.ListEmbeddingSpacesRequest,
    embedding_pb2.ListEmbeddingSpacesResponse,
    repeatable=True,
)
DELETE_SPACE = Method(
    _E,
    "DeleteEmbeddingSpace",
    embedding_pb2.DeleteEmbeddingSpaceRequest,
    embedding_pb2.DeleteEmbeddingSpaceResponse,
)

SERVER_INFO = Method(_S, "GetServerInfo", server_pb2.GetServerInfoRequest, server_pb2.ServerInfo, repeatable=True)
