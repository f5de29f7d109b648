import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from headstart.v1 import prediction_pb2 as _prediction_pb2
from headstart.v1 import spec_pb2 as _spec_pb2
from headstart.v1 import training_pb2 as _training_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportRequest(_message.Message):
    __slots__ = ("model", "format", "head_only", "predictions")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    HEAD_ONLY_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    format: Artifact.Format
    head_only: bool
    predictions: DatasetPredictions
    def __init__(self, model: _Optional[str] = ..., format: _Optional[_Union[Artifact.Format, str]] = ..., head_only: bool = ..., predictions: _Optional[_Union[DatasetPredictions, _Mapping]] = ...) -> None: ...

class DatasetPredictions(_message.Message):
    __slots__ = ("dataset", "columns", "probabilities", "embedding_reuse", "backend")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_REUSE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    dataset: _training_pb2.DatasetSource
    columns: _containers.RepeatedScalarFieldContainer[str]
    probabilities: bool
    embedding_reuse: _prediction_pb2.PredictRequest.EmbeddingReuse
    backend: _spec_pb2.Backend
    def __init__(self, dataset: _Optional[_Union[_training_pb2.DatasetSource, _Mapping]] = ..., columns: _Optional[_Iterable[str]] = ..., probabilities: bool = ..., embedding_reuse: _Optional[_Union[_prediction_pb2.PredictRequest.EmbeddingReuse, str]] = ..., backend: _Optional[_Union[_spec_pb2.Backend, _Mapping]] = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("progress", "artifact", "export_job")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    EXPORT_JOB_FIELD_NUMBER: _ClassVar[int]
    progress: ExportProgress
    artifact: Artifact
    export_job: str
    def __init__(self, progress: _Optional[_Union[ExportProgress, _Mapping]] = ..., artifact: _Optional[_Union[Artifact, _Mapping]] = ..., export_job: _Optional[str] = ...) -> None: ...

class ExportJob(_message.Message):
    __slots__ = ("name", "model", "format", "head_only", "predictions", "state", "progress", "jobs_before", "artifact", "error", "create_time", "start_time", "end_time")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[ExportJob.State]
        STATE_QUEUED: _ClassVar[ExportJob.State]
        STATE_RUNNING: _ClassVar[ExportJob.State]
        STATE_SUCCEEDED: _ClassVar[ExportJob.State]
        STATE_FAILED: _ClassVar[ExportJob.State]
        STATE_CANCELLED: _ClassVar[ExportJob.State]
    STATE_UNSPECIFIED: ExportJob.State
    STATE_QUEUED: ExportJob.State
    STATE_RUNNING: ExportJob.State
    STATE_SUCCEEDED: ExportJob.State
    STATE_FAILED: ExportJob.State
    STATE_CANCELLED: ExportJob.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    HEAD_ONLY_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    JOBS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    format: Artifact.Format
    head_only: bool
    predictions: DatasetPredictions
    state: ExportJob.State
    progress: ExportProgress
    jobs_before: int
    artifact: str
    error: _status_pb2.Status
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., format: _Optional[_Union[Artifact.Format, str]] = ..., head_only: bool = ..., predictions: _Optional[_Union[DatasetPredictions, _Mapping]] = ..., state: _Optional[_Union[ExportJob.State, str]] = ..., progress: _Optional[_Union[ExportProgress, _Mapping]] = ..., jobs_before: _Optional[int] = ..., artifact: _Optional[str] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ExportProgress(_message.Message):
    __slots__ = ("stage", "message", "rows_done", "rows_total")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ROWS_DONE_FIELD_NUMBER: _ClassVar[int]
    ROWS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    stage: str
    message: str
    rows_done: int
    rows_total: int
    def __init__(self, stage: _Optional[str] = ..., message: _Optional[str] = ..., rows_done: _Optional[int] = ..., rows_total: _Optional[int] = ...) -> None: ...

class Artifact(_message.Message):
    __slots__ = ("name", "model", "format", "head_only", "create_time", "files", "max_difference", "size_bytes", "row_count", "rows_left_out")
    class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FORMAT_UNSPECIFIED: _ClassVar[Artifact.Format]
        FORMAT_ONNX: _ClassVar[Artifact.Format]
        FORMAT_TORCHSCRIPT: _ClassVar[Artifact.Format]
        FORMAT_PREDICTIONS: _ClassVar[Artifact.Format]
    FORMAT_UNSPECIFIED: Artifact.Format
    FORMAT_ONNX: Artifact.Format
    FORMAT_TORCHSCRIPT: Artifact.Format
    FORMAT_PREDICTIONS: Artifact.Format
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    HEAD_ONLY_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    MAX_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    format: Artifact.Format
    head_only: bool
    create_time: _timestamp_pb2.Timestamp
    files: _containers.RepeatedCompositeFieldContainer[ArtifactFile]
    max_difference: float
    size_bytes: int
    row_count: int
    rows_left_out: int
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., format: _Optional[_Union[Artifact.Format, str]] = ..., head_only: bool = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., files: _Optional[_Iterable[_Union[ArtifactFile, _Mapping]]] = ..., max_difference: _Optional[float] = ..., size_bytes: _Optional[int] = ..., row_count: _Optional[int] = ..., rows_left_out: _Optional[int] = ...) -> None: ...

class ArtifactFile(_message.Message):
    __slots__ = ("path", "size_bytes", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    sha256: str
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class GetArtifactRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListArtifactsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "model")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    model: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class ListArtifactsResponse(_message.Message):
    __slots__ = ("artifacts", "next_page_token")
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    artifacts: _containers.RepeatedCompositeFieldContainer[Artifact]
    next_page_token: str
    def __init__(self, artifacts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DownloadArtifactRequest(_message.Message):
    __slots__ = ("name", "path", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    offset: int
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadArtifactResponse(_message.Message):
    __slots__ = ("offset", "data", "size_bytes", "sha256")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    offset: int
    data: bytes
    size_bytes: int
    sha256: str
    def __init__(self, offset: _Optional[int] = ..., data: _Optional[bytes] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class DeleteArtifactRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteArtifactResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateExportJobRequest(_message.Message):
    __slots__ = ("model", "format", "head_only", "predictions")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    HEAD_ONLY_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    model: str
    format: Artifact.Format
    head_only: bool
    predictions: DatasetPredictions
    def __init__(self, model: _Optional[str] = ..., format: _Optional[_Union[Artifact.Format, str]] = ..., head_only: bool = ..., predictions: _Optional[_Union[DatasetPredictions, _Mapping]] = ...) -> None: ...

class GetExportJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListExportJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "model")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    model: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class ListExportJobsResponse(_message.Message):
    __slots__ = ("export_jobs", "next_page_token")
    EXPORT_JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    export_jobs: _containers.RepeatedCompositeFieldContainer[ExportJob]
    next_page_token: str
    def __init__(self, export_jobs: _Optional[_Iterable[_Union[ExportJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchExportJobRequest(_message.Message):
    __slots__ = ("name", "heartbeat_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    heartbeat_seconds: float
    def __init__(self, name: _Optional[str] = ..., heartbeat_seconds: _Optional[float] = ...) -> None: ...

class WatchExportJobResponse(_message.Message):
    __slots__ = ("export_job",)
    EXPORT_JOB_FIELD_NUMBER: _ClassVar[int]
    export_job: ExportJob
    def __init__(self, export_job: _Optional[_Union[ExportJob, _Mapping]] = ...) -> None: ...

class CancelExportJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...
