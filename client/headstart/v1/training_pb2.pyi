import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headstart.v1 import evaluation_pb2 as _evaluation_pb2
from headstart.v1 import spec_pb2 as _spec_pb2
from headstart.v1 import table_pb2 as _table_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_VIEW_UNSPECIFIED: _ClassVar[JobView]
    JOB_VIEW_BASIC: _ClassVar[JobView]
    JOB_VIEW_FULL: _ClassVar[JobView]
JOB_VIEW_UNSPECIFIED: JobView
JOB_VIEW_BASIC: JobView
JOB_VIEW_FULL: JobView

class CreateTrainJobRequest(_message.Message):
    __slots__ = ("request_id", "spec", "spec_yaml", "dataset", "validation_dataset", "test_dataset", "display_name", "description", "labels", "priority", "timeout", "ttl", "initial_model")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SPEC_YAML_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_DATASET_FIELD_NUMBER: _ClassVar[int]
    TEST_DATASET_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    INITIAL_MODEL_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    spec: _spec_pb2.TrainSpec
    spec_yaml: str
    dataset: DatasetSource
    validation_dataset: DatasetSource
    test_dataset: DatasetSource
    display_name: str
    description: str
    labels: _containers.ScalarMap[str, str]
    priority: int
    timeout: _duration_pb2.Duration
    ttl: _duration_pb2.Duration
    initial_model: str
    def __init__(self, request_id: _Optional[str] = ..., spec: _Optional[_Union[_spec_pb2.TrainSpec, _Mapping]] = ..., spec_yaml: _Optional[str] = ..., dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., validation_dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., test_dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., display_name: _Optional[str] = ..., description: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., priority: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., initial_model: _Optional[str] = ...) -> None: ...

class TrainJobRequest(_message.Message):
    __slots__ = ("request_id", "spec", "spec_yaml", "dataset", "validation_dataset", "test_dataset", "display_name", "heartbeat_seconds", "description", "labels", "priority", "timeout", "ttl", "initial_model", "max_events")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SPEC_YAML_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_DATASET_FIELD_NUMBER: _ClassVar[int]
    TEST_DATASET_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    INITIAL_MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENTS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    spec: _spec_pb2.TrainSpec
    spec_yaml: str
    dataset: DatasetSource
    validation_dataset: DatasetSource
    test_dataset: DatasetSource
    display_name: str
    heartbeat_seconds: float
    description: str
    labels: _containers.ScalarMap[str, str]
    priority: int
    timeout: _duration_pb2.Duration
    ttl: _duration_pb2.Duration
    initial_model: str
    max_events: int
    def __init__(self, request_id: _Optional[str] = ..., spec: _Optional[_Union[_spec_pb2.TrainSpec, _Mapping]] = ..., spec_yaml: _Optional[str] = ..., dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., validation_dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., test_dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., display_name: _Optional[str] = ..., heartbeat_seconds: _Optional[float] = ..., description: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., priority: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., initial_model: _Optional[str] = ..., max_events: _Optional[int] = ...) -> None: ...

class PlanTrainJobRequest(_message.Message):
    __slots__ = ("request_id", "spec", "spec_yaml", "dataset", "validation_dataset", "test_dataset", "display_name", "description", "labels", "priority", "timeout", "ttl", "initial_model")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SPEC_YAML_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_DATASET_FIELD_NUMBER: _ClassVar[int]
    TEST_DATASET_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    INITIAL_MODEL_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    spec: _spec_pb2.TrainSpec
    spec_yaml: str
    dataset: DatasetSource
    validation_dataset: DatasetSource
    test_dataset: DatasetSource
    display_name: str
    description: str
    labels: _containers.ScalarMap[str, str]
    priority: int
    timeout: _duration_pb2.Duration
    ttl: _duration_pb2.Duration
    initial_model: str
    def __init__(self, request_id: _Optional[str] = ..., spec: _Optional[_Union[_spec_pb2.TrainSpec, _Mapping]] = ..., spec_yaml: _Optional[str] = ..., dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., validation_dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., test_dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., display_name: _Optional[str] = ..., description: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., priority: _Optional[int] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., initial_model: _Optional[str] = ...) -> None: ...

class DatasetSource(_message.Message):
    __slots__ = ("dataset", "path", "table", "table_file")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    TABLE_FILE_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    path: str
    table: _table_pb2.Table
    table_file: str
    def __init__(self, dataset: _Optional[str] = ..., path: _Optional[str] = ..., table: _Optional[_Union[_table_pb2.Table, _Mapping]] = ..., table_file: _Optional[str] = ...) -> None: ...

class TrainJob(_message.Message):
    __slots__ = ("name", "display_name", "state", "create_time", "update_time", "start_time", "end_time", "spec", "resolved_spec", "resolved_values", "model", "best_epoch", "error", "last_sequence", "encode_progress", "request_id", "queue", "description", "labels", "creator", "attempt", "progress", "eta_seconds", "datasets", "warnings", "epochs", "evaluation", "priority", "deadline", "ttl", "expire_time", "initial_model", "step_progress", "trials")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[TrainJob.State]
        STATE_QUEUED: _ClassVar[TrainJob.State]
        STATE_PREPARING: _ClassVar[TrainJob.State]
        STATE_ENCODING: _ClassVar[TrainJob.State]
        STATE_TRAINING: _ClassVar[TrainJob.State]
        STATE_PUBLISHING: _ClassVar[TrainJob.State]
        STATE_PAUSED: _ClassVar[TrainJob.State]
        STATE_CANCELLING: _ClassVar[TrainJob.State]
        STATE_SUCCEEDED: _ClassVar[TrainJob.State]
        STATE_FAILED: _ClassVar[TrainJob.State]
        STATE_CANCELLED: _ClassVar[TrainJob.State]
        STATE_PAUSING: _ClassVar[TrainJob.State]
    STATE_UNSPECIFIED: TrainJob.State
    STATE_QUEUED: TrainJob.State
    STATE_PREPARING: TrainJob.State
    STATE_ENCODING: TrainJob.State
    STATE_TRAINING: TrainJob.State
    STATE_PUBLISHING: TrainJob.State
    STATE_PAUSED: TrainJob.State
    STATE_CANCELLING: TrainJob.State
    STATE_SUCCEEDED: TrainJob.State
    STATE_FAILED: TrainJob.State
    STATE_CANCELLED: TrainJob.State
    STATE_PAUSING: TrainJob.State
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_SPEC_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_VALUES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ETA_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    INITIAL_MODEL_FIELD_NUMBER: _ClassVar[int]
    STEP_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    state: TrainJob.State
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    spec: _spec_pb2.TrainSpec
    resolved_spec: _spec_pb2.TrainSpec
    resolved_values: _containers.RepeatedCompositeFieldContainer[ResolvedValue]
    model: str
    best_epoch: EpochMetrics
    error: JobError
    last_sequence: int
    encode_progress: EncodeProgress
    request_id: str
    queue: QueuePosition
    description: str
    labels: _containers.ScalarMap[str, str]
    creator: str
    attempt: int
    progress: float
    eta_seconds: float
    datasets: _containers.RepeatedCompositeFieldContainer[JobDataset]
    warnings: _containers.RepeatedCompositeFieldContainer[JobWarning]
    epochs: _containers.RepeatedCompositeFieldContainer[EpochMetrics]
    evaluation: _containers.RepeatedCompositeFieldContainer[_evaluation_pb2.OutputEvaluation]
    priority: int
    deadline: _timestamp_pb2.Timestamp
    ttl: _duration_pb2.Duration
    expire_time: _timestamp_pb2.Timestamp
    initial_model: str
    step_progress: StepProgress
    trials: _containers.RepeatedCompositeFieldContainer[Trial]
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., state: _Optional[_Union[TrainJob.State, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spec: _Optional[_Union[_spec_pb2.TrainSpec, _Mapping]] = ..., resolved_spec: _Optional[_Union[_spec_pb2.TrainSpec, _Mapping]] = ..., resolved_values: _Optional[_Iterable[_Union[ResolvedValue, _Mapping]]] = ..., model: _Optional[str] = ..., best_epoch: _Optional[_Union[EpochMetrics, _Mapping]] = ..., error: _Optional[_Union[JobError, _Mapping]] = ..., last_sequence: _Optional[int] = ..., encode_progress: _Optional[_Union[EncodeProgress, _Mapping]] = ..., request_id: _Optional[str] = ..., queue: _Optional[_Union[QueuePosition, _Mapping]] = ..., description: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., creator: _Optional[str] = ..., attempt: _Optional[int] = ..., progress: _Optional[float] = ..., eta_seconds: _Optional[float] = ..., datasets: _Optional[_Iterable[_Union[JobDataset, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[JobWarning, _Mapping]]] = ..., epochs: _Optional[_Iterable[_Union[EpochMetrics, _Mapping]]] = ..., evaluation: _Optional[_Iterable[_Union[_evaluation_pb2.OutputEvaluation, _Mapping]]] = ..., priority: _Optional[int] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., initial_model: _Optional[str] = ..., step_progress: _Optional[_Union[StepProgress, _Mapping]] = ..., trials: _Optional[_Iterable[_Union[Trial, _Mapping]]] = ...) -> None: ...

class JobDataset(_message.Message):
    __slots__ = ("role", "dataset", "path", "table_file", "row_count", "sha256")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[JobDataset.Role]
        ROLE_TRAIN: _ClassVar[JobDataset.Role]
        ROLE_VALIDATION: _ClassVar[JobDataset.Role]
        ROLE_TEST: _ClassVar[JobDataset.Role]
    ROLE_UNSPECIFIED: JobDataset.Role
    ROLE_TRAIN: JobDataset.Role
    ROLE_VALIDATION: JobDataset.Role
    ROLE_TEST: JobDataset.Role
    ROLE_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    TABLE_FILE_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    role: JobDataset.Role
    dataset: str
    path: str
    table_file: str
    row_count: int
    sha256: str
    def __init__(self, role: _Optional[_Union[JobDataset.Role, str]] = ..., dataset: _Optional[str] = ..., path: _Optional[str] = ..., table_file: _Optional[str] = ..., row_count: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class QueuePosition(_message.Message):
    __slots__ = ("jobs_before", "reason")
    JOBS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    jobs_before: int
    reason: str
    def __init__(self, jobs_before: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ResolvedValue(_message.Message):
    __slots__ = ("path", "value", "origin", "reason")
    class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ORIGIN_UNSPECIFIED: _ClassVar[ResolvedValue.Origin]
        ORIGIN_GIVEN: _ClassVar[ResolvedValue.Origin]
        ORIGIN_DEFAULT: _ClassVar[ResolvedValue.Origin]
        ORIGIN_RULE: _ClassVar[ResolvedValue.Origin]
        ORIGIN_MEASURED: _ClassVar[ResolvedValue.Origin]
    ORIGIN_UNSPECIFIED: ResolvedValue.Origin
    ORIGIN_GIVEN: ResolvedValue.Origin
    ORIGIN_DEFAULT: ResolvedValue.Origin
    ORIGIN_RULE: ResolvedValue.Origin
    ORIGIN_MEASURED: ResolvedValue.Origin
    PATH_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    path: str
    value: _struct_pb2.Value
    origin: ResolvedValue.Origin
    reason: str
    def __init__(self, path: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., origin: _Optional[_Union[ResolvedValue.Origin, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class JobError(_message.Message):
    __slots__ = ("reason", "message", "field")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    field: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class TrainJobEvent(_message.Message):
    __slots__ = ("sequence", "time", "job", "state_change", "encode_progress", "step_progress", "epoch_finished", "warning", "model_published", "spec_resolved", "model_evaluated", "heartbeat", "trial_finished", "terminal")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    STATE_CHANGE_FIELD_NUMBER: _ClassVar[int]
    ENCODE_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    STEP_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FINISHED_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    MODEL_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    SPEC_RESOLVED_FIELD_NUMBER: _ClassVar[int]
    MODEL_EVALUATED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FINISHED_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    job: str
    state_change: StateChange
    encode_progress: EncodeProgress
    step_progress: StepProgress
    epoch_finished: EpochMetrics
    warning: JobWarning
    model_published: ModelPublished
    spec_resolved: SpecResolved
    model_evaluated: ModelEvaluated
    heartbeat: Heartbeat
    trial_finished: TrialFinished
    terminal: bool
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job: _Optional[str] = ..., state_change: _Optional[_Union[StateChange, _Mapping]] = ..., encode_progress: _Optional[_Union[EncodeProgress, _Mapping]] = ..., step_progress: _Optional[_Union[StepProgress, _Mapping]] = ..., epoch_finished: _Optional[_Union[EpochMetrics, _Mapping]] = ..., warning: _Optional[_Union[JobWarning, _Mapping]] = ..., model_published: _Optional[_Union[ModelPublished, _Mapping]] = ..., spec_resolved: _Optional[_Union[SpecResolved, _Mapping]] = ..., model_evaluated: _Optional[_Union[ModelEvaluated, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., trial_finished: _Optional[_Union[TrialFinished, _Mapping]] = ..., terminal: bool = ...) -> None: ...

class TrialFinished(_message.Message):
    __slots__ = ("trial", "trials")
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    trial: Trial
    trials: int
    def __init__(self, trial: _Optional[_Union[Trial, _Mapping]] = ..., trials: _Optional[int] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("number", "parameters", "metric", "value", "standard_error", "train_rows", "epochs", "seconds", "head_seconds", "size_bytes", "failure", "pareto", "best", "encoder_seconds", "encoder_bytes")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _struct_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    STANDARD_ERROR_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    HEAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PARETO_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    ENCODER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENCODER_BYTES_FIELD_NUMBER: _ClassVar[int]
    number: int
    parameters: _containers.MessageMap[str, _struct_pb2.Value]
    metric: str
    value: float
    standard_error: float
    train_rows: int
    epochs: int
    seconds: float
    head_seconds: float
    size_bytes: int
    failure: str
    pareto: bool
    best: bool
    encoder_seconds: float
    encoder_bytes: int
    def __init__(self, number: _Optional[int] = ..., parameters: _Optional[_Mapping[str, _struct_pb2.Value]] = ..., metric: _Optional[str] = ..., value: _Optional[float] = ..., standard_error: _Optional[float] = ..., train_rows: _Optional[int] = ..., epochs: _Optional[int] = ..., seconds: _Optional[float] = ..., head_seconds: _Optional[float] = ..., size_bytes: _Optional[int] = ..., failure: _Optional[str] = ..., pareto: bool = ..., best: bool = ..., encoder_seconds: _Optional[float] = ..., encoder_bytes: _Optional[int] = ...) -> None: ...

class TrainJobResponse(_message.Message):
    __slots__ = ("event", "more_events")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    MORE_EVENTS_FIELD_NUMBER: _ClassVar[int]
    event: TrainJobEvent
    more_events: _containers.RepeatedCompositeFieldContainer[TrainJobEvent]
    def __init__(self, event: _Optional[_Union[TrainJobEvent, _Mapping]] = ..., more_events: _Optional[_Iterable[_Union[TrainJobEvent, _Mapping]]] = ...) -> None: ...

class WatchTrainJobResponse(_message.Message):
    __slots__ = ("event", "more_events")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    MORE_EVENTS_FIELD_NUMBER: _ClassVar[int]
    event: TrainJobEvent
    more_events: _containers.RepeatedCompositeFieldContainer[TrainJobEvent]
    def __init__(self, event: _Optional[_Union[TrainJobEvent, _Mapping]] = ..., more_events: _Optional[_Iterable[_Union[TrainJobEvent, _Mapping]]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: QueuePosition
    def __init__(self, queue: _Optional[_Union[QueuePosition, _Mapping]] = ...) -> None: ...

class StateChange(_message.Message):
    __slots__ = ("previous_state", "state", "error")
    PREVIOUS_STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    previous_state: TrainJob.State
    state: TrainJob.State
    error: JobError
    def __init__(self, previous_state: _Optional[_Union[TrainJob.State, str]] = ..., state: _Optional[_Union[TrainJob.State, str]] = ..., error: _Optional[_Union[JobError, _Mapping]] = ...) -> None: ...

class EncodeProgress(_message.Message):
    __slots__ = ("feature", "rows_total", "rows_seen", "rows_found", "rows_repeated", "rows_encoded", "rows_shared", "rows_per_second", "eta_seconds", "embedding_space", "data_wait_seconds", "compute_seconds", "workers", "test_rows_again")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    ROWS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ROWS_SEEN_FIELD_NUMBER: _ClassVar[int]
    ROWS_FOUND_FIELD_NUMBER: _ClassVar[int]
    ROWS_REPEATED_FIELD_NUMBER: _ClassVar[int]
    ROWS_ENCODED_FIELD_NUMBER: _ClassVar[int]
    ROWS_SHARED_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ETA_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    DATA_WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    TEST_ROWS_AGAIN_FIELD_NUMBER: _ClassVar[int]
    feature: str
    rows_total: int
    rows_seen: int
    rows_found: int
    rows_repeated: int
    rows_encoded: int
    rows_shared: int
    rows_per_second: float
    eta_seconds: float
    embedding_space: str
    data_wait_seconds: float
    compute_seconds: float
    workers: _containers.RepeatedCompositeFieldContainer[WorkerMetrics]
    test_rows_again: bool
    def __init__(self, feature: _Optional[str] = ..., rows_total: _Optional[int] = ..., rows_seen: _Optional[int] = ..., rows_found: _Optional[int] = ..., rows_repeated: _Optional[int] = ..., rows_encoded: _Optional[int] = ..., rows_shared: _Optional[int] = ..., rows_per_second: _Optional[float] = ..., eta_seconds: _Optional[float] = ..., embedding_space: _Optional[str] = ..., data_wait_seconds: _Optional[float] = ..., compute_seconds: _Optional[float] = ..., workers: _Optional[_Iterable[_Union[WorkerMetrics, _Mapping]]] = ..., test_rows_again: bool = ...) -> None: ...

class StepProgress(_message.Message):
    __slots__ = ("epoch", "step", "total_steps", "loss", "learning_rate", "rows_per_second", "eta_seconds")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOTAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ETA_SECONDS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    step: int
    total_steps: int
    loss: float
    learning_rate: float
    rows_per_second: float
    eta_seconds: float
    def __init__(self, epoch: _Optional[int] = ..., step: _Optional[int] = ..., total_steps: _Optional[int] = ..., loss: _Optional[float] = ..., learning_rate: _Optional[float] = ..., rows_per_second: _Optional[float] = ..., eta_seconds: _Optional[float] = ...) -> None: ...

class EpochMetrics(_message.Message):
    __slots__ = ("epoch", "step", "train", "validation", "test", "train_seconds", "evaluate_seconds", "best", "learning_rate", "rows_per_second", "data_wait_seconds", "compute_seconds", "workers", "load_seconds", "evaluation", "epochs", "validation_metric")
    class TrainEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ValidationEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class TestEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TRAIN_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    TRAIN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DATA_WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_METRIC_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    step: int
    train: _containers.ScalarMap[str, float]
    validation: _containers.ScalarMap[str, float]
    test: _containers.ScalarMap[str, float]
    train_seconds: float
    evaluate_seconds: float
    best: bool
    learning_rate: float
    rows_per_second: float
    data_wait_seconds: float
    compute_seconds: float
    workers: _containers.RepeatedCompositeFieldContainer[WorkerMetrics]
    load_seconds: float
    evaluation: int
    epochs: float
    validation_metric: str
    def __init__(self, epoch: _Optional[int] = ..., step: _Optional[int] = ..., train: _Optional[_Mapping[str, float]] = ..., validation: _Optional[_Mapping[str, float]] = ..., test: _Optional[_Mapping[str, float]] = ..., train_seconds: _Optional[float] = ..., evaluate_seconds: _Optional[float] = ..., best: bool = ..., learning_rate: _Optional[float] = ..., rows_per_second: _Optional[float] = ..., data_wait_seconds: _Optional[float] = ..., compute_seconds: _Optional[float] = ..., workers: _Optional[_Iterable[_Union[WorkerMetrics, _Mapping]]] = ..., load_seconds: _Optional[float] = ..., evaluation: _Optional[int] = ..., epochs: _Optional[float] = ..., validation_metric: _Optional[str] = ...) -> None: ...

class WorkerMetrics(_message.Message):
    __slots__ = ("rows", "rows_per_second", "data_wait_seconds", "load_seconds", "image_workers")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DATA_WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    LOAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_WORKERS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    rows_per_second: float
    data_wait_seconds: float
    load_seconds: float
    image_workers: int
    def __init__(self, rows: _Optional[int] = ..., rows_per_second: _Optional[float] = ..., data_wait_seconds: _Optional[float] = ..., load_seconds: _Optional[float] = ..., image_workers: _Optional[int] = ...) -> None: ...

class JobWarning(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class ModelPublished(_message.Message):
    __slots__ = ("model", "best_epoch")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BEST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    model: str
    best_epoch: EpochMetrics
    def __init__(self, model: _Optional[str] = ..., best_epoch: _Optional[_Union[EpochMetrics, _Mapping]] = ...) -> None: ...

class ModelEvaluated(_message.Message):
    __slots__ = ("outputs",)
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    outputs: _containers.RepeatedCompositeFieldContainer[_evaluation_pb2.OutputEvaluation]
    def __init__(self, outputs: _Optional[_Iterable[_Union[_evaluation_pb2.OutputEvaluation, _Mapping]]] = ...) -> None: ...

class SpecResolved(_message.Message):
    __slots__ = ("values", "train_rows", "validation_rows", "test_rows")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    TEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[ResolvedValue]
    train_rows: int
    validation_rows: int
    test_rows: int
    def __init__(self, values: _Optional[_Iterable[_Union[ResolvedValue, _Mapping]]] = ..., train_rows: _Optional[int] = ..., validation_rows: _Optional[int] = ..., test_rows: _Optional[int] = ...) -> None: ...

class PlanTrainJobResponse(_message.Message):
    __slots__ = ("resolved_spec", "resolved_values", "train_rows", "validation_rows", "test_rows", "encode", "test_encode", "warnings", "spec_yaml", "violations")
    RESOLVED_SPEC_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_VALUES_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    TEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    TEST_ENCODE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    SPEC_YAML_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    resolved_spec: _spec_pb2.TrainSpec
    resolved_values: _containers.RepeatedCompositeFieldContainer[ResolvedValue]
    train_rows: int
    validation_rows: int
    test_rows: int
    encode: _containers.RepeatedCompositeFieldContainer[EncodeProgress]
    test_encode: _containers.RepeatedCompositeFieldContainer[EncodeProgress]
    warnings: _containers.RepeatedCompositeFieldContainer[JobWarning]
    spec_yaml: str
    violations: _containers.RepeatedCompositeFieldContainer[FieldViolation]
    def __init__(self, resolved_spec: _Optional[_Union[_spec_pb2.TrainSpec, _Mapping]] = ..., resolved_values: _Optional[_Iterable[_Union[ResolvedValue, _Mapping]]] = ..., train_rows: _Optional[int] = ..., validation_rows: _Optional[int] = ..., test_rows: _Optional[int] = ..., encode: _Optional[_Iterable[_Union[EncodeProgress, _Mapping]]] = ..., test_encode: _Optional[_Iterable[_Union[EncodeProgress, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[JobWarning, _Mapping]]] = ..., spec_yaml: _Optional[str] = ..., violations: _Optional[_Iterable[_Union[FieldViolation, _Mapping]]] = ...) -> None: ...

class SuggestSpecRequest(_message.Message):
    __slots__ = ("dataset", "targets", "sweep_seconds")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    SWEEP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    dataset: DatasetSource
    targets: _containers.RepeatedScalarFieldContainer[str]
    sweep_seconds: float
    def __init__(self, dataset: _Optional[_Union[DatasetSource, _Mapping]] = ..., targets: _Optional[_Iterable[str]] = ..., sweep_seconds: _Optional[float] = ...) -> None: ...

class SuggestSpecResponse(_message.Message):
    __slots__ = ("spec", "spec_yaml", "columns", "warnings", "row_count", "profiled_row_count", "resolved_values")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    SPEC_YAML_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    PROFILED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_VALUES_FIELD_NUMBER: _ClassVar[int]
    spec: _spec_pb2.TrainSpec
    spec_yaml: str
    columns: _containers.RepeatedCompositeFieldContainer[SuggestedColumn]
    warnings: _containers.RepeatedCompositeFieldContainer[JobWarning]
    row_count: int
    profiled_row_count: int
    resolved_values: _containers.RepeatedCompositeFieldContainer[ResolvedValue]
    def __init__(self, spec: _Optional[_Union[_spec_pb2.TrainSpec, _Mapping]] = ..., spec_yaml: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[SuggestedColumn, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[JobWarning, _Mapping]]] = ..., row_count: _Optional[int] = ..., profiled_row_count: _Optional[int] = ..., resolved_values: _Optional[_Iterable[_Union[ResolvedValue, _Mapping]]] = ...) -> None: ...

class SuggestedColumn(_message.Message):
    __slots__ = ("column", "role", "type", "reason", "evidence", "empty_count", "distinct_count")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[SuggestedColumn.Role]
        ROLE_INPUT: _ClassVar[SuggestedColumn.Role]
        ROLE_OUTPUT: _ClassVar[SuggestedColumn.Role]
        ROLE_LEFT_OUT: _ClassVar[SuggestedColumn.Role]
    ROLE_UNSPECIFIED: SuggestedColumn.Role
    ROLE_INPUT: SuggestedColumn.Role
    ROLE_OUTPUT: SuggestedColumn.Role
    ROLE_LEFT_OUT: SuggestedColumn.Role
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    EMPTY_COUNT_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_COUNT_FIELD_NUMBER: _ClassVar[int]
    column: str
    role: SuggestedColumn.Role
    type: str
    reason: str
    evidence: str
    empty_count: int
    distinct_count: int
    def __init__(self, column: _Optional[str] = ..., role: _Optional[_Union[SuggestedColumn.Role, str]] = ..., type: _Optional[str] = ..., reason: _Optional[str] = ..., evidence: _Optional[str] = ..., empty_count: _Optional[int] = ..., distinct_count: _Optional[int] = ...) -> None: ...

class FieldViolation(_message.Message):
    __slots__ = ("field", "description", "reason")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    field: str
    description: str
    reason: str
    def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WatchTrainJobRequest(_message.Message):
    __slots__ = ("name", "after_sequence", "heartbeat_seconds", "max_events")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_sequence: int
    heartbeat_seconds: float
    max_events: int
    def __init__(self, name: _Optional[str] = ..., after_sequence: _Optional[int] = ..., heartbeat_seconds: _Optional[float] = ..., max_events: _Optional[int] = ...) -> None: ...

class GetTrainJobRequest(_message.Message):
    __slots__ = ("name", "view")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    name: str
    view: JobView
    def __init__(self, name: _Optional[str] = ..., view: _Optional[_Union[JobView, str]] = ...) -> None: ...

class ListTrainJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "view", "filter", "order_by")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[TrainJob.State]
    view: JobView
    filter: str
    order_by: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[TrainJob.State, str]]] = ..., view: _Optional[_Union[JobView, str]] = ..., filter: _Optional[str] = ..., order_by: _Optional[str] = ...) -> None: ...

class ListTrainJobsResponse(_message.Message):
    __slots__ = ("train_jobs", "next_page_token")
    TRAIN_JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    train_jobs: _containers.RepeatedCompositeFieldContainer[TrainJob]
    next_page_token: str
    def __init__(self, train_jobs: _Optional[_Iterable[_Union[TrainJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelTrainJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PauseTrainJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ResumeTrainJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteTrainJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteTrainJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class UpdateTrainJobRequest(_message.Message):
    __slots__ = ("train_job", "update_mask")
    TRAIN_JOB_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    train_job: TrainJob
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, train_job: _Optional[_Union[TrainJob, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class ListTrainJobEventsRequest(_message.Message):
    __slots__ = ("name", "after_sequence", "page_size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_sequence: int
    page_size: int
    def __init__(self, name: _Optional[str] = ..., after_sequence: _Optional[int] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListTrainJobEventsResponse(_message.Message):
    __slots__ = ("events", "more")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[TrainJobEvent]
    more: bool
    def __init__(self, events: _Optional[_Iterable[_Union[TrainJobEvent, _Mapping]]] = ..., more: bool = ...) -> None: ...

class WatchTrainJobsRequest(_message.Message):
    __slots__ = ("filter", "heartbeat_seconds")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    filter: str
    heartbeat_seconds: float
    def __init__(self, filter: _Optional[str] = ..., heartbeat_seconds: _Optional[float] = ...) -> None: ...

class WatchTrainJobsResponse(_message.Message):
    __slots__ = ("train_job", "removed", "synced", "heartbeat")
    TRAIN_JOB_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    SYNCED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    train_job: TrainJob
    removed: str
    synced: bool
    heartbeat: Heartbeat
    def __init__(self, train_job: _Optional[_Union[TrainJob, _Mapping]] = ..., removed: _Optional[str] = ..., synced: bool = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...
