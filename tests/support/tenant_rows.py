"""The cross-tenant matrix: for every RPC what another tenant asks of it, and what it gets to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from headstart.v1 import dataset_pb2 as datasets
from headstart.v1 import embedding_pb2 as embeddings
from headstart.v1 import export_pb2 as exports
from headstart.v1 import model_pb2 as models
from headstart.v1 import prediction_pb2 as prediction
from headstart.v1 import training_pb2 as training
from headstart.v1.spec_pb2 import TrainSpec
from headstart.values.table import table_of
from headstart_server.rpc.inference import grpc_service_pb2 as inference

from tests.support import reviews

COLUMNS = ("review", "price", "category", "verdict")
INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@dataclass(frozen=True)
class Names:
    """Of what a tenant has: ids, the SHA-256 of its data set, and a file of its data root."""

    job: str = "0" * 20
    running: str = "0" * 19 + "1"
    """A job that has not ended, and reads the data set."""
    model: str = "0" * 20
    artifact: str = "0" * 20
    export: str = "0" * 20
    dataset: str = "0" * 20
    sha256: str = "0" * 64
    upload: str = "0" * 20
    """The name of a broken upload."""
    space: str = "0" * 32
    path: str = "nobodys-row.csv"
    alias: str = "nobodys@production"


NOBODYS = Names()
"""Names of the same form that nobody has."""


def as_nobodys(text: bytes, names: Names) -> bytes:
    """A text with nobody's names in place of these."""
    for item in fields(Names):
        text = text.replace(getattr(names, item.name).encode(), getattr(NOBODYS, item.name).encode())
    return text


@dataclass(frozen=True)
class Case:
    """One request that names what another tenant has: it is answered as one that names what nobody has."""

    request: Callable[[Names], Message]
    code: grpc.StatusCode = NOT_FOUND


@dataclass(frozen=True)
class Hidden:
    """Whoever names what another tenant has learns nothing."""

    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Empty:
    """A list of what others have is empty."""

    field: str
    request: Callable[[Names], Message]


@dataclass(frozen=True)
class Apart:
    """It names nothing that a tenant has; a test of its own shows that it tells nothing either."""

    test: str


@dataclass(frozen=True)
class Open:
    """It has nothing of any tenant's."""

    reason: str


Row = Hidden | Empty | Apart | Open


def _hidden(*requests: Callable[[Names], Message]) -> Hidden:
    return Hidden(tuple(map(Case, requests)))


def _of_job(message: type[Message]) -> Hidden:
    return _hidden(
        lambda names: message(name=f"trainJobs/{names.job}"), lambda names: message(name=f"trainJobs/{names.running}")
    )


def _of_export(message: type[Message]) -> Hidden:
    return _hidden(lambda names: message(name=f"exportJobs/{names.export}"))


def job_request(message: Callable[..., Any] = training.TrainJobRequest, **sources: Any) -> Any:
    """A short job."""
    return message(spec=ParseDict(reviews.spec(epochs=1), TrainSpec()), **sources)


def _training(
    code_of_paths: grpc.StatusCode = INVALID, message: Callable[..., Any] = training.TrainJobRequest
) -> Hidden:
    """Data sets and paths in each role."""
    cases = []
    inline = training.DatasetSource(table=table_of(reviews.columns(reviews.make_rows(8), *COLUMNS)))
    for role in ("dataset", "validation_dataset", "test_dataset"):

        def uploaded(names: Names, role: str = role) -> Message:
            source = training.DatasetSource(dataset=f"datasets/{names.dataset}")
            found: Message = job_request(message, **{"dataset": inline, role: source})
            return found

        def below_root(names: Names, role: str = role) -> Message:
            found: Message = job_request(message, **{"dataset": inline, role: training.DatasetSource(path=names.path)})
            return found

        cases += [Case(uploaded), Case(below_root, code_of_paths)]

    def begins(names: Names) -> Message:
        found: Message = job_request(message, dataset=inline, initial_model=f"models/{names.model}")
        return found

    return Hidden((*cases, Case(begins)))


def _suggested(source: training.DatasetSource) -> Message:
    return training.SuggestSpecRequest(dataset=source, targets=["verdict"])


ROWS: Mapping[str, Row] = {
    "TrainingService.TrainJob": _training(),
    "TrainingService.CreateTrainJob": _training(message=training.CreateTrainJobRequest),
    "TrainingService.WatchTrainJob": _of_job(training.WatchTrainJobRequest),
    "TrainingService.WatchTrainJobs": Apart("test_a_watch_of_all_jobs_tells_of_ones_own"),
    "TrainingService.GetTrainJob": _of_job(training.GetTrainJobRequest),
    "TrainingService.ListTrainJobEvents": _of_job(training.ListTrainJobEventsRequest),
    "TrainingService.UpdateTrainJob": _hidden(
        lambda names: training.UpdateTrainJobRequest(
            train_job=training.TrainJob(name=f"trainJobs/{names.job}", description="mine")
        )
    ),
    "TrainingService.ListTrainJobs": Empty("train_jobs", lambda _: training.ListTrainJobsRequest()),
    "TrainingService.CancelTrainJob": _of_job(training.CancelTrainJobRequest),
    "TrainingService.PauseTrainJob": _of_job(training.PauseTrainJobRequest),
    "TrainingService.ResumeTrainJob": _of_job(training.ResumeTrainJobRequest),
    "TrainingService.DeleteTrainJob": _of_job(training.DeleteTrainJobRequest),
    "TrainingService.PlanTrainJob": _training(grpc.StatusCode.OK, training.PlanTrainJobRequest),
    "TrainingService.SuggestSpec": Hidden(
        (
            Case(lambda names: _suggested(training.DatasetSource(dataset=f"datasets/{names.dataset}"))),
            Case(lambda names: _suggested(training.DatasetSource(path=names.path)), INVALID),
        )
    ),
    "PredictionService.Predict": _hidden(
        lambda names: prediction.PredictRequest(model=f"models/{names.model}"),
        lambda names: prediction.PredictRequest(model=f"models/{names.alias}"),
    ),
    "PredictionService.PredictMany": Hidden(
        (
            Case(lambda names: prediction.PredictManyRequest(models=[f"models/{names.model}"]), grpc.StatusCode.OK),
            Case(lambda names: prediction.PredictManyRequest(models=[f"models/{names.alias}"]), grpc.StatusCode.OK),
        )
    ),
    "PredictionService.PredictStream": _hidden(
        lambda names: prediction.PredictStreamRequest(
            request=prediction.PredictRequest(model=f"models/{names.model}"), skip_bad_rows=True
        )
    ),
    "PredictionService.PredictDataset": _hidden(
        lambda names: prediction.PredictDatasetRequest(
            model=f"models/{names.model}", dataset=training.DatasetSource(dataset=f"datasets/{names.dataset}")
        ),
        lambda names: prediction.PredictDatasetRequest(
            model=f"models/{names.alias}", dataset=training.DatasetSource(path=names.path)
        ),
    ),
    "PredictionService.EvaluateModel": _hidden(
        lambda names: prediction.EvaluateModelRequest(
            model=f"models/{names.model}", dataset=training.DatasetSource(dataset=f"datasets/{names.dataset}")
        ),
        lambda names: prediction.EvaluateModelRequest(
            model=f"models/{names.alias}", dataset=training.DatasetSource(path=names.path)
        ),
    ),
    "ExportService.Export": _hidden(
        lambda names: exports.ExportRequest(
            model=f"models/{names.model}", format=exports.Artifact.FORMAT_ONNX, head_only=True
        ),
        lambda names: exports.ExportRequest(model=f"models/{names.model}", format=exports.Artifact.FORMAT_TORCHSCRIPT),
    ),
    "ExportService.CreateExportJob": _hidden(
        lambda names: exports.CreateExportJobRequest(
            model=f"models/{names.model}", format=exports.Artifact.FORMAT_ONNX, head_only=True
        ),
        lambda names: exports.CreateExportJobRequest(
            model=f"models/{names.model}",
            format=exports.Artifact.FORMAT_PREDICTIONS,
            predictions=exports.DatasetPredictions(dataset=training.DatasetSource(dataset=f"datasets/{names.dataset}")),
        ),
    ),
    "ExportService.GetExportJob": _of_export(exports.GetExportJobRequest),
    "ExportService.ListExportJobs": Empty(
        "export_jobs", lambda names: exports.ListExportJobsRequest(model=f"models/{names.model}")
    ),
    "ExportService.WatchExportJob": _of_export(exports.WatchExportJobRequest),
    "ExportService.CancelExportJob": _of_export(exports.CancelExportJobRequest),
    "ExportService.GetArtifact": _hidden(lambda names: exports.GetArtifactRequest(name=f"artifacts/{names.artifact}")),
    "ExportService.ListArtifacts": Empty(
        "artifacts", lambda names: exports.ListArtifactsRequest(model=f"models/{names.model}")
    ),
    "ExportService.DownloadArtifact": _hidden(
        lambda names: exports.DownloadArtifactRequest(name=f"artifacts/{names.artifact}", path="model.onnx"),
        lambda names: exports.DownloadArtifactRequest(name=f"artifacts/{names.artifact}", path="nothing", offset=9),
    ),
    "ExportService.DeleteArtifact": _hidden(
        lambda names: exports.DeleteArtifactRequest(name=f"artifacts/{names.artifact}")
    ),
    "DatasetService.UploadDataset": Apart("test_the_bytes_of_another_tenants_data_set_are_not_known"),
    "DatasetService.GetUpload": _hidden(lambda names: datasets.GetUploadRequest(upload_id=names.upload)),
    "DatasetService.GetDataset": _hidden(
        lambda names: datasets.GetDatasetRequest(name=f"datasets/{names.dataset}"),
        lambda names: datasets.GetDatasetRequest(name=f"datasets/sha256:{names.sha256}"),
    ),
    "DatasetService.ListDatasets": Empty("datasets", lambda _: datasets.ListDatasetsRequest()),
    "DatasetService.DeleteDataset": _hidden(
        lambda names: datasets.DeleteDatasetRequest(name=f"datasets/{names.dataset}")
    ),
    "ModelService.GetModel": _hidden(
        lambda names: models.GetModelRequest(name=f"models/{names.model}"),
        lambda names: models.GetModelRequest(name=f"models/{names.alias}"),
    ),
    "ModelService.ListModels": Empty("models", lambda _: models.ListModelsRequest()),
    "ModelService.UpdateModel": _hidden(
        lambda names: models.UpdateModelRequest(model=models.Model(name=f"models/{names.model}", description="mine")),
        lambda names: models.UpdateModelRequest(model=models.Model(name=f"models/{names.alias}", description="mine")),
    ),
    "ModelService.SetModelAlias": _hidden(
        lambda names: models.SetModelAliasRequest(name="models/own@alias", model=f"models/{names.model}"),
        lambda names: models.SetModelAliasRequest(name="models/own@alias", model=f"models/{names.alias}"),
        lambda names: models.SetModelAliasRequest(name=f"models/{names.alias}", model=f"models/{names.model}"),
    ),
    "ModelService.GetModelAlias": _hidden(lambda names: models.GetModelAliasRequest(name=f"models/{names.alias}")),
    "ModelService.ListModelAliases": Empty(
        "model_aliases", lambda names: models.ListModelAliasesRequest(model=f"models/{names.model}")
    ),
    "ModelService.DeleteModelAlias": _hidden(
        lambda names: models.DeleteModelAliasRequest(name=f"models/{names.alias}")
    ),
    "ModelService.DeleteModel": _hidden(lambda names: models.DeleteModelRequest(name=f"models/{names.model}")),
    "EmbeddingService.Embed": Apart("test_the_rows_that_another_tenant_has_encoded_are_not_known"),
    "EmbeddingService.EmbedStream": Apart("test_the_rows_that_another_tenant_has_encoded_are_not_known"),
    "EmbeddingService.ListEmbeddingSpaces": Empty(
        "embedding_spaces", lambda _: embeddings.ListEmbeddingSpacesRequest()
    ),
    "EmbeddingService.DeleteEmbeddingSpace": _hidden(
        lambda names: embeddings.DeleteEmbeddingSpaceRequest(name=f"embeddingSpaces/{names.space}")
    ),
    "GRPCInferenceService.ServerLive": Open("says that the server answers"),
    "GRPCInferenceService.ServerReady": Open("says that the server takes requests"),
    "GRPCInferenceService.ServerMetadata": Open("says what the server is, which is alike for all"),
    "GRPCInferenceService.ModelReady": _hidden(lambda names: inference.ModelReadyRequest(name=names.model)),
    "GRPCInferenceService.ModelMetadata": _hidden(lambda names: inference.ModelMetadataRequest(name=names.model)),
    "GRPCInferenceService.ModelConfig": _hidden(lambda names: inference.ModelConfigRequest(name=names.model)),
    "GRPCInferenceService.ModelInfer": _hidden(lambda names: inference.ModelInferRequest(model_name=names.model)),
    "GRPCInferenceService.ModelStreamInfer": Apart("test_a_stream_answers_for_another_tenants_model_as_for_nobodys"),
    "GRPCInferenceService.RepositoryIndex": Empty("models", lambda _: inference.RepositoryIndexRequest()),
    "ServerService.GetServerInfo": Open("says what the server is and may do, which is alike for all"),
}
