"""What each RPC asks of its caller, in one table; docs/security.md shows it, and a test holds both to the protos."""

from collections.abc import Mapping
from dataclasses import dataclass

from headstart_server.core.principal import Scope

READ, TRAIN, PREDICT, ADMIN = Scope.READ, Scope.TRAIN, Scope.PREDICT, Scope.ADMIN


@dataclass(frozen=True)
class Access:
    """What one RPC asks for."""

    scopes: tuple[Scope, ...] = ()
    """All of them; none: whoever has valid credentials may call."""
    changes: bool = False
    """Whether it makes, changes or deletes something, and stands in the audit log therefore."""


_SERVICES: Mapping[str, Mapping[str, Access]] = {
    "TrainingService": {
        "TrainJob": Access((TRAIN, READ), changes=True),
        "CreateTrainJob": Access((TRAIN,), changes=True),
        "WatchTrainJob": Access((READ,)),
        "WatchTrainJobs": Access((READ,)),
        "GetTrainJob": Access((READ,)),
        "ListTrainJobs": Access((READ,)),
        "ListTrainJobEvents": Access((READ,)),
        "UpdateTrainJob": Access((TRAIN,), changes=True),
        "CancelTrainJob": Access((TRAIN,), changes=True),
        "PauseTrainJob": Access((TRAIN,), changes=True),
        "ResumeTrainJob": Access((TRAIN,), changes=True),
        "DeleteTrainJob": Access((TRAIN,), changes=True),
        "PlanTrainJob": Access((TRAIN,)),
        "SuggestSpec": Access((TRAIN,)),
    },
    "PredictionService": {
        "Predict": Access((PREDICT,)),
        "PredictMany": Access((PREDICT,)),
        "PredictStream": Access((PREDICT,)),
        "PredictDataset": Access((PREDICT, TRAIN)),
        "EvaluateModel": Access((PREDICT, TRAIN)),
    },
    "ExportService": {
        "Export": Access((TRAIN, READ), changes=True),
        "CreateExportJob": Access((TRAIN,), changes=True),
        "GetExportJob": Access((READ,)),
        "ListExportJobs": Access((READ,)),
        "WatchExportJob": Access((READ,)),
        "CancelExportJob": Access((TRAIN,), changes=True),
        "GetArtifact": Access((READ,)),
        "ListArtifacts": Access((READ,)),
        "DownloadArtifact": Access((TRAIN,)),
        "DeleteArtifact": Access((TRAIN,), changes=True),
    },
    "DatasetService": {
        "UploadDataset": Access((TRAIN,), changes=True),
        "GetUpload": Access((TRAIN,)),
        "GetDataset": Access((READ,)),
        "ListDatasets": Access((READ,)),
        "DeleteDataset": Access((TRAIN,), changes=True),
    },
    "ModelService": {
        "GetModel": Access((READ,)),
        "ListModels": Access((READ,)),
        "UpdateModel": Access((TRAIN,), changes=True),
        "DeleteModel": Access((ADMIN,), changes=True),
        "SetModelAlias": Access((TRAIN,), changes=True),
        "GetModelAlias": Access((READ,)),
        "ListModelAliases": Access((READ,)),
        "DeleteModelAlias": Access((TRAIN,), changes=True),
    },
    "EmbeddingService": {
        "Embed": Access((PREDICT,)),
        "EmbedStream": Access((PREDICT,)),
        "ListEmbeddingSpaces": Access((READ,)),
        "DeleteEmbeddingSpace": Access((ADMIN,), changes=True),
    },
    "ServerService": {"GetServerInfo": Access()},
}
_INFERENCE: Mapping[str, Access] = {
    "ServerMetadata": Access(),
    "ModelReady": Access((PREDICT,)),
    "ModelMetadata": Access((PREDICT,)),
    "ModelConfig": Access((PREDICT,)),
    "ModelInfer": Access((PREDICT,)),
    "ModelStreamInfer": Access((PREDICT,)),
    "RepositoryIndex": Access((READ,)),
}
"""Of the Open Inference Protocol: whoever may predict may ask what a model reads and answers."""
ACCESS: Mapping[str, Access] = {
    **{f"headstart.v1.{service}/{rpc}": access for service, rpcs in _SERVICES.items() for rpc, access in rpcs.items()},
    **{f"inference.GRPCInferenceService/{rpc}": access for rpc, access in _INFERENCE.items()},
}
"""By `SERVICE/RPC`."""
METRICS_ACCESS = Access((Scope.METRICS,))
"""Of `/metrics` over HTTP."""
OPEN = ("inference.GRPCInferenceService/ServerLive", "inference.GRPCInferenceService/ServerReady")
"""What the protocol's clients ask as others ask the health service."""
_OPEN = ("grpc.health.", *OPEN)
_ANYBODY_KNOWN = "grpc.reflection."


def access_of(method: str) -> Access | None:
    """What `SERVICE/RPC` asks for; None for health, which asks for nothing. Raises KeyError for what is not named."""
    if method.startswith(_OPEN):
        return None
    return Access() if method.startswith(_ANYBODY_KNOWN) else ACCESS[method]
