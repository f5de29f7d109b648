"""List, read and delete the kinds of resources, all by one scheme: pages forward, names completed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from headstart.errors import Unavailable
from headstart.programs.retry import Patience, RetryPolicy, persistently
from headstart.v1.dataset_pb2 import Dataset
from headstart.v1.embedding_pb2 import EmbeddingSpace
from headstart.v1.export_pb2 import Artifact, ExportJob
from headstart.v1.model_pb2 import Model, ModelAlias, SetModelAliasRequest, UpdateModelRequest
from headstart.v1.training_pb2 import (
    ListTrainJobEventsRequest,
    TrainJob,
    TrainJobEvent,
    UpdateTrainJobRequest,
    WatchTrainJobsRequest,
    WatchTrainJobsResponse,
)
from headstart.values.names import full_name
from headstart.wire import methods
from headstart.wire.methods import Method
from headstart.wire.steps import Emit, Flow, Program, call, open_stream, read

M = TypeVar("M", bound=Message)

PAGE_SIZE = 200


@dataclass(frozen=True)
class Kind(Generic[M]):
    """One kind of resource: its collection, the field of a page that holds it, and its methods."""

    collection: str
    field: str
    message: type[M]
    list_method: Method[Any, Any]
    delete_method: Method[Any, Any] | None
    get_method: Method[Any, M] | None = None


JOBS = Kind("trainJobs", "train_jobs", TrainJob, methods.LIST_JOBS, methods.DELETE_JOB, methods.GET_JOB)
MODELS = Kind("models", "models", Model, methods.LIST_MODELS, methods.DELETE_MODEL, methods.GET_MODEL)
ALIASES = Kind("models", "model_aliases", ModelAlias, methods.LIST_ALIASES, methods.DELETE_ALIAS, methods.GET_ALIAS)
DATASETS = Kind("datasets", "datasets", Dataset, methods.LIST_DATASETS, methods.DELETE_DATASET, methods.GET_DATASET)
ARTIFACTS = Kind(
    "artifacts", "artifacts", Artifact, methods.LIST_ARTIFACTS, methods.DELETE_ARTIFACT, methods.GET_ARTIFACT
)
EXPORT_JOBS = Kind("exportJobs", "export_jobs", ExportJob, methods.LIST_EXPORT_JOBS, None, methods.GET_EXPORT_JOB)
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
    assert kind.delete_method is not None
    yield from named(kind, kind.delete_method, name)


def named(kind: Kind[Any], method: Method[Any, M], name: str) -> Program[M]:
    """Call a method whose request holds nothing but a name."""
    return (yield from call(method, method.request(name=full_name(kind.collection, name))))


def update_job(name: str, changes: Mapping[str, Any]) -> Program[TrainJob]:
    """Change fields of a job; None leaves one as it is."""
    given = {field: value for field, value in changes.items() if value is not None}
    job = TrainJob(name=full_name(JOBS.collection, name), **given)
    request = UpdateTrainJobRequest(train_job=job, update_mask=FieldMask(paths=sorted(given)))
    return (yield from call(methods.UPDATE_JOB, request))


def job_events(name: str, after_sequence: int = 0) -> Flow[TrainJobEvent]:
    """Emit the events of a job that there are, page after page."""
    more = True
    while more:
        request = ListTrainJobEventsRequest(
            name=full_name(JOBS.collection, name), after_sequence=after_sequence, page_size=PAGE_SIZE
        )
        page = yield from call(methods.LIST_JOB_EVENTS, request)
        for event in page.events:
            after_sequence = event.sequence
            yield Emit(event)
        more = page.more


def watch_jobs(filter: str, policy: RetryPolicy) -> Flow[WatchTrainJobsResponse]:
    """Emit jobs as they are and as they change; after a dropped stream all are told again."""

    def attempt(patience: Patience) -> Flow[WatchTrainJobsResponse]:
        stream = yield from open_stream(methods.WATCH_JOBS, WatchTrainJobsRequest(filter=filter))
        while (update := (yield from read(stream))) is not None:
            patience.progress()
            yield Emit(update)
        raise Unavailable("the server closed the stream")

    yield from persistently(attempt, policy)


def artifacts_of(model: str = "") -> Flow[Artifact]:
    """Emit the artifacts of one model, or all."""
    yield from list_all(ARTIFACTS, model=full_name(MODELS.collection, model) if model else "")


def update_model(
    name: str, display_name: str | None, description: str | None, labels: Mapping[str, str] | None
) -> Program[Model]:
    """Change what people say of a model, as far as it is given; `labels` take the place of those that it has."""
    given = {"display_name": display_name, "description": description, "labels": labels}
    values: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    request = UpdateModelRequest(model=Model(name=full_name(MODELS.collection, name), **values))
    request.update_mask.paths.extend(values)
    return (yield from call(methods.UPDATE_MODEL, request))


def set_alias(alias: str, model: str, expected_model: str = "") -> Program[ModelAlias]:
    """Have an alias name a model."""
    request = SetModelAliasRequest(
        name=full_name(MODELS.collection, alias),
        model=full_name(MODELS.collection, model),
        expected_model=full_name(MODELS.collection, expected_model) if expected_model else "",
    )
    return (yield from call(methods.SET_ALIAS, request))


def aliases_of(model: str = "") -> Flow[ModelAlias]:
    """Emit the aliases of one model, or all."""
    yield from list_all(ALIASES, model=full_name(MODELS.collection, model) if model else "")


def export_jobs_of(model: str = "") -> Flow[ExportJob]:
    """Emit the export jobs of one model, or all."""
    yield from list_all(EXPORT_JOBS, model=full_name(MODELS.collection, model) if model else "")
