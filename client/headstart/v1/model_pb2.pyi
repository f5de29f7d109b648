import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headstart.v1 import evaluation_pb2 as _evaluation_pb2
from headstart.v1 import spec_pb2 as _spec_pb2
from headstart.v1 import training_pb2 as _training_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Model(_message.Message):
    __slots__ = ("name", "display_name", "job", "create_time", "spec", "metrics", "inputs", "outputs", "size_bytes", "digest", "encoder_digests", "evaluation")
    class EncoderDigestsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENCODER_DIGESTS_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    job: str
    create_time: _timestamp_pb2.Timestamp
    spec: _spec_pb2.TrainSpec
    metrics: _training_pb2.EpochMetrics
    inputs: _containers.RepeatedCompositeFieldContainer[InputColumn]
    outputs: _containers.RepeatedCompositeFieldContainer[OutputColumn]
    size_bytes: int
    digest: str
    encoder_digests: _containers.ScalarMap[str, str]
    evaluation: _containers.RepeatedCompositeFieldContainer[_evaluation_pb2.OutputEvaluation]
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., job: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spec: _Optional[_Union[_spec_pb2.TrainSpec, _Mapping]] = ..., metrics: _Optional[_Union[_training_pb2.EpochMetrics, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[InputColumn, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[OutputColumn, _Mapping]]] = ..., size_bytes: _Optional[int] = ..., digest: _Optional[str] = ..., encoder_digests: _Optional[_Mapping[str, str]] = ..., evaluation: _Optional[_Iterable[_Union[_evaluation_pb2.OutputEvaluation, _Mapping]]] = ...) -> None: ...

class InputColumn(_message.Message):
    __slots__ = ("column", "type", "feature")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    column: str
    type: str
    feature: str
    def __init__(self, column: _Optional[str] = ..., type: _Optional[str] = ..., feature: _Optional[str] = ...) -> None: ...

class OutputColumn(_message.Message):
    __slots__ = ("feature", "type", "classes")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    feature: str
    type: str
    classes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, feature: _Optional[str] = ..., type: _Optional[str] = ..., classes: _Optional[_Iterable[str]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteModelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
