"""List, read and delete the kinds of resources, all by one scheme: pages forward, names completed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from headstart.v1.dataset_pb2 import Dataset
from headstart.v1.embedding_pb2 import EmbeddingSpace
from headstart.v1.export_pb2 import Artifact
from headstart.v1.model_pb2 import Model
from headstart.v1.training_pb2 import TrainJob
from headstart.values.names import full_name
from headstart.wire import methods
from headstart.wire.methods import Method
from headstart.wire.steps import Emit, Flow, Program, call

M = TypeVar("M", bound=Message)

PAGE_SIZE = 200


@dataclass(frozen=True)
class Kind(Generic[M]):
    """One kind of resource: its collection, the field of a page that holds it, and its methods."""

    collection: str
    field: str
    message: type[M]
    list_method: Method[Any, Any]
    delete_method: Method[Any, Any]
    get_method: Method[Any, M] | None = None


JOBS = Kind("trainJobs", "train_jobs", TrainJob, methods.LIST_JOBS, methods.DELETE_JOB, methods.GET_JOB)
MODELS = Kind("models", "models", Model, methods.LIST_MODELS, methods.DELETE_MODEL, methods.GET_MODEL)
DATASETS = Kind("datasets", "datasets", Dataset, methods.LIST_DATASETS, methods.DELETE_DATASET, methods.GET_DATASET)
ARTIFACTS = Kind(
    "artifacts", "artifacts", Artifact, methods.LIST_ARTIFACTS, methods.DELETE_ARTIFACT, methods.GET_ARTIFACT
)
SPACES = Kind("embeddingSpaces", "embedding_spaces", EmbeddingSpace, methods.LIST_SPACES, methods.DELETE_SPACE)


def list_all(kind: Kind[M], **filters: Any) -> Flow[M]:
    """Emit every resource of a kind, page after page, in the server's order."""
    token = ""
    while True:
        request = kind.list_method.request(page_size=PAGE_SIZE, page_token=token, **filters)
        page = yield from call(kind.list_method, request)
        for item in getattr(page, kind.field):
            yield Emit(item)
        token = page.next_page_token
        if not token:
            return


def get(kind: Kind[M], name: str) -> Program[M]:
    """Read one resource."""
    assert kind.get_method is not None
    return (yield from named(kind, kind.get_method, name))


def delete(kind: Kind[M], name: str) -> Program[None]:
    """Delete one resource."""
    yield from named(kind, kind.delete_method, name)


def named(kind: Kind[Any], method: Method[Any, M], name: str) -> Program[M]:
    """Call a method whose request holds nothing but a name."""
    return (yield from call(method, method.request(name=full_name(kind.collection, name))))


def artifacts_of(model: str = "") -> Flow[Artifact]:
    """Emit the artifacts of one model, or all."""
    yield from list_all(ARTIFACTS, model=full_name(MODELS.collection, model) if model else "")
