import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from headstart.v1 import spec_pb2 as _spec_pb2
from headstart.v1 import table_pb2 as _table_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedRequest(_message.Message):
    __slots__ = ("feature", "table", "embedding_space")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    feature: _spec_pb2.Feature
    table: _table_pb2.Table
    embedding_space: str
    def __init__(self, feature: _Optional[_Union[_spec_pb2.Feature, _Mapping]] = ..., table: _Optional[_Union[_table_pb2.Table, _Mapping]] = ..., embedding_space: _Optional[str] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("dimension", "embeddings", "rows_found", "embedding_space", "precision")
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FOUND_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    dimension: int
    embeddings: _containers.RepeatedScalarFieldContainer[float]
    rows_found: int
    embedding_space: str
    precision: str
    def __init__(self, dimension: _Optional[int] = ..., embeddings: _Optional[_Iterable[float]] = ..., rows_found: _Optional[int] = ..., embedding_space: _Optional[str] = ..., precision: _Optional[str] = ...) -> None: ...

class EmbedStreamRequest(_message.Message):
    __slots__ = ("request", "id")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    request: EmbedRequest
    id: str
    def __init__(self, request: _Optional[_Union[EmbedRequest, _Mapping]] = ..., id: _Optional[str] = ...) -> None: ...

class EmbedStreamResponse(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: EmbedResponse
    error: _status_pb2.Status
    def __init__(self, id: _Optional[str] = ..., response: _Optional[_Union[EmbedResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class EmbeddingSpace(_message.Message):
    __slots__ = ("name", "description", "row_count", "size_bytes", "dimension", "shard_count", "last_use_time")
    class DescriptionEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    SHARD_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_USE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: _containers.ScalarMap[str, str]
    row_count: int
    size_bytes: int
    dimension: int
    shard_count: int
    last_use_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., description: _Optional[_Mapping[str, str]] = ..., row_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., dimension: _Optional[int] = ..., shard_count: _Optional[int] = ..., last_use_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListEmbeddingSpacesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEmbeddingSpacesResponse(_message.Message):
    __slots__ = ("embedding_spaces", "next_page_token")
    EMBEDDING_SPACES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    embedding_spaces: _containers.RepeatedCompositeFieldContainer[EmbeddingSpace]
    next_page_token: str
    def __init__(self, embedding_spaces: _Optional[_Iterable[_Union[EmbeddingSpace, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteEmbeddingSpaceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteEmbeddingSpaceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
