"""Resources of one kind on the server: list, get, delete, and what else each kind can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from google.protobuf.message import Message

from headstart.programs import resources
from headstart.programs.export import create_export, export_request, watch_export
from headstart.programs.resources import Kind
from headstart.programs.retry import RetryPolicy
from headstart.v1.export_pb2 import Artifact, ExportJob
from headstart.v1.model_pb2 import Model, ModelAlias
from headstart.v1.training_pb2 import TrainJob, TrainJobEvent, WatchTrainJobsResponse
from headstart.values.names import full_name
from headstart.wire import methods
from headstart.wire.driver import Driver

M = TypeVar("M", bound=Message)


class Listing(Generic[M]):
    """Resources that can be listed and deleted. Names may be full (`models/m1`) or bare (`m1`)."""

    def __init__(self, driver: Driver, kind: Kind[M]) -> None:
        self._driver = driver
        self._kind = kind

    def list(self) -> Iterator[M]:
        """Yield every resource, fetching page after page."""
        return self._driver.stream(resources.list_all(self._kind))

    def delete(self, name: str) -> None:
        """Delete one resource."""
        self._driver.run(resources.delete(self._kind, name))


class Collection(Listing[M]):
    """Resources that can be read one by one, too."""

    def get(self, name: str) -> M:
        """Read one resource."""
        return self._driver.run(resources.get(self._kind, name))


class Jobs(Collection[TrainJob]):
    """Training jobs, newest first."""

    def __init__(self, driver: Driver, retry: RetryPolicy) -> None:
        super().__init__(driver, resources.JOBS)
        self._retry = retry

    def list(self, states: Sequence[TrainJob.State] = (), filter: str = "", order_by: str = "") -> Iterator[TrainJob]:
        """Yield every job, those in some states, or those that a filter asks for.

        `filter` is of the kind `labels.team = "search" AND create_time > "2026-01-01"` (https://google.aip.dev/160);
        `order_by` is `create_time`, `update_time` or `end_time`, with ` desc` or without.
        """
        return self._driver.stream(resources.list_all(self._kind, states=states, filter=filter, order_by=order_by))

    def events(self, name: str, after_sequence: int = 0) -> Iterator[TrainJobEvent]:
        """Yield the events of a job that there are, after one of them, without waiting for more."""
        return self._driver.stream(resources.job_events(name, after_sequence))

    def watch(self, filter: str = "") -> Iterator[WatchTrainJobsResponse]:
        """Yield every job as it is, then `synced`, then each change, without an end; after a break all again."""
        return self._driver.stream(resources.watch_jobs(filter, self._retry))

    def update(
        self,
        name: str,
        *,
        display_name: str | None = None,
        description: str | None = None,
        labels: Mapping[str, str] | None = None,
        priority: int | None = None,
    ) -> TrainJob:
        """Change what people say of a job, and the turn of one that waits; None leaves a field as it is."""
        changes = {
            "display_name": display_name,
            "description": description,
            "labels": labels,
            "priority": priority,
        }
        return self._driver.run(resources.update_job(name, changes))

    def cancel(self, name: str) -> TrainJob:
        """Ask a job to stop."""
        return self._driver.run(resources.named(self._kind, methods.CANCEL_JOB, name))

    def pause(self, name: str) -> TrainJob:
        """Stop a job at its next checkpoint."""
        return self._driver.run(resources.named(self._kind, methods.PAUSE_JOB, name))

    def resume(self, name: str) -> TrainJob:
        """Go on with a paused job."""
        return self._driver.run(resources.named(self._kind, methods.RESUME_JOB, name))


class Artifacts(Collection[Artifact]):
    """Exported models, newest first."""

    def list(self, model: str = "") -> Iterator[Artifact]:
        """Yield every artifact, or those of one model."""
        return self._driver.stream(resources.artifacts_of(model))


class Models(Collection[Model]):
    """Published models, newest first, and the aliases that name them."""

    def list(self, filter: str = "") -> Iterator[Model]:
        """Yield every model, or those that a filter matches: `labels.team = "search"`."""
        return self._driver.stream(resources.list_all(self._kind, filter=filter))

    def update(
        self,
        name: str,
        *,
        display_name: str | None = None,
        description: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Model:
        """Change what people say of a model; None leaves a field as it is, `labels` take the place of all it has."""
        return self._driver.run(resources.update_model(name, display_name, description, labels))

    def set_alias(self, alias: str, model: str, expected_model: str = "") -> ModelAlias:
        """Have an alias, `NAME@ALIAS`, name a model.

        Raises:
            FailedPrecondition: it does not name `expected_model`, where one is given.
        """
        return self._driver.run(resources.set_alias(alias, model, expected_model))

    def alias(self, alias: str) -> ModelAlias:
        """Read which model an alias names."""
        return self._driver.run(resources.get(resources.ALIASES, alias))

    def aliases(self, model: str = "") -> Iterator[ModelAlias]:
        """Yield every alias by name, or those of one model."""
        return self._driver.stream(resources.aliases_of(model))

    def delete_alias(self, alias: str) -> None:
        """Delete an alias; its model stays."""
        self._driver.run(resources.delete(resources.ALIASES, alias))


class ExportJobs:
    """Exports that are to be made, are being made, or have ended within a day, newest first."""

    def __init__(self, driver: Driver, retry: RetryPolicy) -> None:
        self._driver, self._retry = driver, retry

    def list(self, model: str = "") -> Iterator[ExportJob]:
        """Yield every export job, or those of one model."""
        return self._driver.stream(resources.export_jobs_of(model))

    def create(self, model: str, format: str = "onnx", head_only: bool = False) -> ExportJob:
        """Have a model exported as `onnx` or `torchscript`, and do not wait for it."""
        request = export_request(full_name(resources.MODELS.collection, model), format, head_only)
        return self._driver.run(create_export(request))

    def get(self, name: str) -> ExportJob:
        """Read one export job."""
        return self._driver.run(resources.get(resources.EXPORT_JOBS, name))

    def cancel(self, name: str) -> ExportJob:
        """End an export job."""
        return self._driver.run(resources.named(resources.EXPORT_JOBS, methods.CANCEL_EXPORT_JOB, name))

    def watch(self, name: str) -> Iterator[ExportJob]:
        """Yield an export job as it is, and after each change, to its end, over dropped streams."""
        return self._driver.stream(watch_export(name, self._retry))
