from google.rpc import status_pb2 as _status_pb2
from headstart.v1 import evaluation_pb2 as _evaluation_pb2
from headstart.v1 import table_pb2 as _table_pb2
from headstart.v1 import training_pb2 as _training_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PredictDatasetRequest(_message.Message):
    __slots__ = ("model", "dataset", "probabilities", "top_k", "embedding_reuse", "first_row")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_REUSE_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    model: str
    dataset: _training_pb2.DatasetSource
    probabilities: bool
    top_k: int
    embedding_reuse: PredictRequest.EmbeddingReuse
    first_row: int
    def __init__(self, model: _Optional[str] = ..., dataset: _Optional[_Union[_training_pb2.DatasetSource, _Mapping]] = ..., probabilities: bool = ..., top_k: _Optional[int] = ..., embedding_reuse: _Optional[_Union[PredictRequest.EmbeddingReuse, str]] = ..., first_row: _Optional[int] = ...) -> None: ...

class PredictDatasetResponse(_message.Message):
    __slots__ = ("first_row", "rows", "row_count", "response", "row_errors")
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ROW_ERRORS_FIELD_NUMBER: _ClassVar[int]
    first_row: int
    rows: int
    row_count: int
    response: PredictResponse
    row_errors: _containers.RepeatedCompositeFieldContainer[RowError]
    def __init__(self, first_row: _Optional[int] = ..., rows: _Optional[int] = ..., row_count: _Optional[int] = ..., response: _Optional[_Union[PredictResponse, _Mapping]] = ..., row_errors: _Optional[_Iterable[_Union[RowError, _Mapping]]] = ...) -> None: ...

class EvaluateModelRequest(_message.Message):
    __slots__ = ("model", "dataset", "embedding_reuse")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_REUSE_FIELD_NUMBER: _ClassVar[int]
    model: str
    dataset: _training_pb2.DatasetSource
    embedding_reuse: PredictRequest.EmbeddingReuse
    def __init__(self, model: _Optional[str] = ..., dataset: _Optional[_Union[_training_pb2.DatasetSource, _Mapping]] = ..., embedding_reuse: _Optional[_Union[PredictRequest.EmbeddingReuse, str]] = ...) -> None: ...

class EvaluateModelResponse(_message.Message):
    __slots__ = ("progress", "evaluation")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    progress: EvaluationProgress
    evaluation: ModelEvaluation
    def __init__(self, progress: _Optional[_Union[EvaluationProgress, _Mapping]] = ..., evaluation: _Optional[_Union[ModelEvaluation, _Mapping]] = ...) -> None: ...

class EvaluationProgress(_message.Message):
    __slots__ = ("rows_done", "rows_total")
    ROWS_DONE_FIELD_NUMBER: _ClassVar[int]
    ROWS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    rows_done: int
    rows_total: int
    def __init__(self, rows_done: _Optional[int] = ..., rows_total: _Optional[int] = ...) -> None: ...

class ModelEvaluation(_message.Message):
    __slots__ = ("model", "row_count", "metrics", "outputs", "rows_left_out", "row_errors")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    ROW_ERRORS_FIELD_NUMBER: _ClassVar[int]
    model: str
    row_count: int
    metrics: _containers.ScalarMap[str, float]
    outputs: _containers.RepeatedCompositeFieldContainer[_evaluation_pb2.OutputEvaluation]
    rows_left_out: int
    row_errors: _containers.RepeatedCompositeFieldContainer[RowError]
    def __init__(self, model: _Optional[str] = ..., row_count: _Optional[int] = ..., metrics: _Optional[_Mapping[str, float]] = ..., outputs: _Optional[_Iterable[_Union[_evaluation_pb2.OutputEvaluation, _Mapping]]] = ..., rows_left_out: _Optional[int] = ..., row_errors: _Optional[_Iterable[_Union[RowError, _Mapping]]] = ...) -> None: ...

class PredictStreamRequest(_message.Message):
    __slots__ = ("request", "id", "skip_bad_rows")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SKIP_BAD_ROWS_FIELD_NUMBER: _ClassVar[int]
    request: PredictRequest
    id: str
    skip_bad_rows: bool
    def __init__(self, request: _Optional[_Union[PredictRequest, _Mapping]] = ..., id: _Optional[str] = ..., skip_bad_rows: bool = ...) -> None: ...

class PredictStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error", "row_errors")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ROW_ERRORS_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: PredictResponse
    error: _status_pb2.Status
    row_errors: _containers.RepeatedCompositeFieldContainer[RowError]
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[PredictResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., row_errors: _Optional[_Iterable[_Union[RowError, _Mapping]]] = ...) -> None: ...

class RowError(_message.Message):
    __slots__ = ("row", "status")
    ROW_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    row: int
    status: _status_pb2.Status
    def __init__(self, row: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class PredictManyRequest(_message.Message):
    __slots__ = ("models", "table", "probabilities", "top_k", "embedding_reuse")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_REUSE_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedScalarFieldContainer[str]
    table: _table_pb2.Table
    probabilities: bool
    top_k: int
    embedding_reuse: PredictRequest.EmbeddingReuse
    def __init__(self, models: _Optional[_Iterable[str]] = ..., table: _Optional[_Union[_table_pb2.Table, _Mapping]] = ..., probabilities: bool = ..., top_k: _Optional[int] = ..., embedding_reuse: _Optional[_Union[PredictRequest.EmbeddingReuse, str]] = ...) -> None: ...

class PredictManyResponse(_message.Message):
    __slots__ = ("predictions",)
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[ModelPrediction]
    def __init__(self, predictions: _Optional[_Iterable[_Union[ModelPrediction, _Mapping]]] = ...) -> None: ...

class ModelPrediction(_message.Message):
    __slots__ = ("model", "response", "error")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    model: str
    response: PredictResponse
    error: _status_pb2.Status
    def __init__(self, model: _Optional[str] = ..., response: _Optional[_Union[PredictResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("model", "table", "probabilities", "top_k", "embedding_reuse")
    class EmbeddingReuse(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EMBEDDING_REUSE_UNSPECIFIED: _ClassVar[PredictRequest.EmbeddingReuse]
        EMBEDDING_REUSE_EXACT: _ClassVar[PredictRequest.EmbeddingReuse]
        EMBEDDING_REUSE_ANY: _ClassVar[PredictRequest.EmbeddingReuse]
        EMBEDDING_REUSE_NONE: _ClassVar[PredictRequest.EmbeddingReuse]
    EMBEDDING_REUSE_UNSPECIFIED: PredictRequest.EmbeddingReuse
    EMBEDDING_REUSE_EXACT: PredictRequest.EmbeddingReuse
    EMBEDDING_REUSE_ANY: PredictRequest.EmbeddingReuse
    EMBEDDING_REUSE_NONE: PredictRequest.EmbeddingReuse
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_REUSE_FIELD_NUMBER: _ClassVar[int]
    model: str
    table: _table_pb2.Table
    probabilities: bool
    top_k: int
    embedding_reuse: PredictRequest.EmbeddingReuse
    def __init__(self, model: _Optional[str] = ..., table: _Optional[_Union[_table_pb2.Table, _Mapping]] = ..., probabilities: bool = ..., top_k: _Optional[int] = ..., embedding_reuse: _Optional[_Union[PredictRequest.EmbeddingReuse, str]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("outputs", "rows_found", "model", "warnings")
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FOUND_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    outputs: _containers.RepeatedCompositeFieldContainer[OutputPrediction]
    rows_found: int
    model: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, outputs: _Optional[_Iterable[_Union[OutputPrediction, _Mapping]]] = ..., rows_found: _Optional[int] = ..., model: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class OutputPrediction(_message.Message):
    __slots__ = ("feature", "labels", "bools", "numbers", "sets", "vectors", "classes", "probabilities", "top")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BOOLS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    SETS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    feature: str
    labels: _table_pb2.StringValues
    bools: _table_pb2.BoolValues
    numbers: _table_pb2.DoubleValues
    sets: _table_pb2.StringLists
    vectors: _table_pb2.FloatMatrix
    classes: _containers.RepeatedScalarFieldContainer[str]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    top: _containers.RepeatedCompositeFieldContainer[TopClasses]
    def __init__(self, feature: _Optional[str] = ..., labels: _Optional[_Union[_table_pb2.StringValues, _Mapping]] = ..., bools: _Optional[_Union[_table_pb2.BoolValues, _Mapping]] = ..., numbers: _Optional[_Union[_table_pb2.DoubleValues, _Mapping]] = ..., sets: _Optional[_Union[_table_pb2.StringLists, _Mapping]] = ..., vectors: _Optional[_Union[_table_pb2.FloatMatrix, _Mapping]] = ..., classes: _Optional[_Iterable[str]] = ..., probabilities: _Optional[_Iterable[float]] = ..., top: _Optional[_Iterable[_Union[TopClasses, _Mapping]]] = ...) -> None: ...

class TopClasses(_message.Message):
    __slots__ = ("labels", "probabilities")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, labels: _Optional[_Iterable[str]] = ..., probabilities: _Optional[_Iterable[float]] = ...) -> None: ...
