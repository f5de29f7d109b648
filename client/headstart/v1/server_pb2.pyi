import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerInfo(_message.Message):
    __slots__ = ("version", "start_time", "limits", "devices", "encoders", "pretrained_models", "library_versions", "hub_allowed", "contract")
    class LibraryVersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    ENCODERS_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_MODELS_FIELD_NUMBER: _ClassVar[int]
    LIBRARY_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    HUB_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    version: str
    start_time: _timestamp_pb2.Timestamp
    limits: ServerLimits
    devices: _containers.RepeatedCompositeFieldContainer[Device]
    encoders: _containers.RepeatedCompositeFieldContainer[EncoderInfo]
    pretrained_models: _containers.RepeatedScalarFieldContainer[str]
    library_versions: _containers.ScalarMap[str, str]
    hub_allowed: bool
    contract: Contract
    def __init__(self, version: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limits: _Optional[_Union[ServerLimits, _Mapping]] = ..., devices: _Optional[_Iterable[_Union[Device, _Mapping]]] = ..., encoders: _Optional[_Iterable[_Union[EncoderInfo, _Mapping]]] = ..., pretrained_models: _Optional[_Iterable[str]] = ..., library_versions: _Optional[_Mapping[str, str]] = ..., hub_allowed: bool = ..., contract: _Optional[_Union[Contract, _Mapping]] = ...) -> None: ...

class Contract(_message.Message):
    __slots__ = ("package", "sha256", "path")
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    package: str
    sha256: str
    path: str
    def __init__(self, package: _Optional[str] = ..., sha256: _Optional[str] = ..., path: _Optional[str] = ...) -> None: ...

class ServerLimits(_message.Message):
    __slots__ = ("max_message_bytes", "max_dataset_bytes", "max_predict_rows", "max_spec_bytes", "max_queued_jobs", "max_image_bytes", "max_image_pixels", "max_image_ratio", "max_plan_bytes")
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_DATASET_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_PREDICT_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_SPEC_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_JOBS_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_RATIO_FIELD_NUMBER: _ClassVar[int]
    MAX_PLAN_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_message_bytes: int
    max_dataset_bytes: int
    max_predict_rows: int
    max_spec_bytes: int
    max_queued_jobs: int
    max_image_bytes: int
    max_image_pixels: int
    max_image_ratio: int
    max_plan_bytes: int
    def __init__(self, max_message_bytes: _Optional[int] = ..., max_dataset_bytes: _Optional[int] = ..., max_predict_rows: _Optional[int] = ..., max_spec_bytes: _Optional[int] = ..., max_queued_jobs: _Optional[int] = ..., max_image_bytes: _Optional[int] = ..., max_image_pixels: _Optional[int] = ..., max_image_ratio: _Optional[int] = ..., max_plan_bytes: _Optional[int] = ...) -> None: ...

class Device(_message.Message):
    __slots__ = ("name", "description", "memory_bytes", "fast_precision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    FAST_PRECISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    memory_bytes: int
    fast_precision: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., fast_precision: _Optional[str] = ...) -> None: ...

class EncoderInfo(_message.Message):
    __slots__ = ("type", "feature_types", "pretrained", "default_model", "variants")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FEATURE_TYPES_FIELD_NUMBER: _ClassVar[int]
    PRETRAINED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    type: str
    feature_types: _containers.RepeatedScalarFieldContainer[str]
    pretrained: bool
    default_model: str
    variants: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, type: _Optional[str] = ..., feature_types: _Optional[_Iterable[str]] = ..., pretrained: bool = ..., default_model: _Optional[str] = ..., variants: _Optional[_Iterable[str]] = ...) -> None: ...
