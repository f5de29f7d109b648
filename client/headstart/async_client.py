"""The asyncio client: every operation of the service as a coroutine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from headstart.async_collection import (
    AsyncArtifacts,
    AsyncCollection,
    AsyncExportJobs,
    AsyncJobs,
    AsyncListing,
    AsyncModels,
)
from headstart.async_predicting import AsyncPredicting
from headstart.async_train_run import AsyncTrainRun
from headstart.programs import resources
from headstart.programs.dataset_source import Data, TrainingData
from headstart.programs.download import Received
from headstart.programs.embed import embed, embed_stream
from headstart.programs.export import Exported, OnProgress, export_request, export_to
from headstart.programs.follow import Position, watch
from headstart.programs.outages import Outages
from headstart.programs.retry import RetryPolicy
from headstart.programs.suggest import suggest
from headstart.programs.train import plan, train
from headstart.programs.upload import Progress, upload_path
from headstart.sinks.recorder import Recorder
from headstart.sinks.sink import Sink
from headstart.v1.dataset_pb2 import Dataset
from headstart.v1.embedding_pb2 import EmbeddingSpace
from headstart.v1.server_pb2 import GetServerInfoRequest, ServerInfo
from headstart.v1.training_pb2 import PlanTrainJobResponse, SuggestSpecResponse
from headstart.values.details import JobDetails
from headstart.values.embeddings import Embeddings
from headstart.values.feature import FeatureLike
from headstart.values.names import full_name
from headstart.values.spec import Spec
from headstart.values.table import Rows
from headstart.wire.async_driver import AsyncDriver
from headstart.wire.client_stream import blocking
from headstart.wire.connection import Connection
from headstart.wire.methods import SERVER_INFO
from headstart.wire.steps import call


class AsyncClient(AsyncPredicting):
    """A Headstart server, for asyncio.

    The asyncio twin of `Client`, with the same arguments; it belongs to the event loop of its first call.

    Attributes:
        jobs, models, datasets, artifacts, embedding_spaces: `list()`, `get(name)` and `delete(name)` of each kind.
        export_jobs: `list()`, `get(name)`, `watch(name)` and `cancel(name)` of exports that wait, run or have ended.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | Callable[[], str] | None = None,
        root_certificates: str | os.PathLike[str] | None = None,
        tls: bool | None = None,
        client_certificate: str | os.PathLike[str] | None = None,
        client_key: str | os.PathLike[str] | None = None,
        plaintext_token: bool | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        connection = Connection.resolve(
            address,
            token=token,
            tls=tls,
            root_certificates=root_certificates,
            client_certificate=client_certificate,
            client_key=client_key,
            plaintext_token=plaintext_token,
        )
        self.address = connection.address
        self._retry = retry or RetryPolicy()
        self._driver = AsyncDriver(connection, timeout, Outages(self._retry, timeout).ridden_out)
        self.jobs = AsyncJobs(self._driver, self._retry)
        self.models = AsyncModels(self._driver, resources.MODELS)
        self.datasets: AsyncCollection[Dataset] = AsyncCollection(self._driver, resources.DATASETS)
        self.artifacts = AsyncArtifacts(self._driver, resources.ARTIFACTS)
        self.export_jobs = AsyncExportJobs(self._driver, self._retry)
        self.embedding_spaces: AsyncListing[EmbeddingSpace] = AsyncListing(self._driver, resources.SPACES)

    async def __aenter__(self) -> AsyncClient:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self.close()

    async def close(self) -> None:
        """Close the connection; streams end, jobs go on."""
        await self._driver.close()

    async def train(
        self,
        spec: Spec,
        data: Data,
        validation: Data | None = None,
        test: Data | None = None,
        request_id: str | None = None,
        display_name: str | None = None,
        details: JobDetails | None = None,
        on_upload: Progress | None = None,
        sinks: Sequence[Sink] = (),
        initial_model: str = "",
    ) -> AsyncTrainRun:
        """Start a job and follow it. Returns once the job exists.

        Arguments and errors are those of `Client.train`.
        """
        recorder = Recorder(sinks)
        events = train(
            spec,
            TrainingData(data, validation, test),
            self._retry,
            request_id=request_id,
            display_name=display_name,
            details=details,
            progress=on_upload,
            recorder=recorder,
            initial_model=initial_model,
        )
        return await AsyncTrainRun.started(self._driver, self._driver.stream(events), self._retry, recorder)

    def watch(self, name: str, after_sequence: int = 0, sinks: Sequence[Sink] = ()) -> AsyncTrainRun:
        """Replay a job's events after one of them, then follow it to its end; `sinks` go on where they were."""
        recorder = Recorder(sinks)
        name = full_name(resources.JOBS.collection, name)
        events = self._driver.stream(watch(Position(name, after_sequence), self._retry, recorder))
        return AsyncTrainRun(self._driver, events, name, self._retry, after_sequence, recorder)

    async def plan(
        self,
        spec: Spec,
        data: Data | None = None,
        validation: Data | None = None,
        test: Data | None = None,
        initial_model: str = "",
    ) -> PlanTrainJobResponse:
        """Resolve a spec against its data without training: every `auto` with its value and origin.

        `spec_yaml` of the answer is the spec in the current spelling; without data it is only read.
        """
        rows = TrainingData(data, validation, test)
        return await self._driver.run(plan(spec, rows, self._retry, initial_model=initial_model))

    async def suggest(
        self,
        data: Data,
        targets: str | Sequence[str],
        on_upload: Progress | None = None,
        *,
        sweep_seconds: float | None = None,
    ) -> SuggestSpecResponse:
        """Look at rows and suggest a spec that predicts `targets`: `spec_yaml` has a comment for every choice.

        A job of the spec measures which head does best, for `sweep_seconds` (60) once its rows are encoded; 0: none.

        Raises:
            InvalidArgument: a column that is not there or cannot be predicted, or no column to learn from.
        """
        return await self._driver.run(suggest(data, targets, self._retry, on_upload, sweep_seconds))

    async def embed(self, feature: FeatureLike, rows: Rows | Sequence[Any], embedding_space: str = "") -> Embeddings:
        """Embed a column of a table, or a list of its values, with a frozen pretrained encoder.

        The encoder computes in fp32, as predictions do, unless the feature's `embedding_precision` or the space named,
        `embeddingSpaces/{id}`, says otherwise.
        """
        return await self._driver.run(embed(feature, rows, embedding_space))

    def embed_stream(
        self,
        feature: FeatureLike,
        batches: Iterable[Rows | Sequence[Any]] | AsyncIterable[Rows | Sequence[Any]],
        embedding_space: str = "",
        *,
        errors: str = "raise",
    ) -> AsyncIterator[Embeddings]:
        """Embed any number of batches, in order: columns of tables, or lists of values; see `predict_stream`."""
        items = blocking(batches) if isinstance(batches, AsyncIterable) else batches
        return self._driver.stream(embed_stream(feature, items, embedding_space, errors))

    async def export(
        self,
        model: str,
        format: str = "onnx",
        head_only: bool = False,
        output_dir: str | os.PathLike[str] | None = None,
        on_progress: OnProgress | None = None,
        on_download: Received | None = None,
    ) -> Exported:
        """Export a model as `onnx` or `torchscript` and, where `output_dir` is given, download its files, verified.

        The export goes on where the caller leaves: `export_jobs` lists, watches and cancels it.
        """
        request = export_request(full_name(resources.MODELS.collection, model), format, head_only)
        directory = Path(output_dir) if output_dir is not None else None
        return await self._driver.run(export_to(request, directory, self._retry, on_progress, on_download))

    async def upload_dataset(
        self,
        path: str | os.PathLike[str],
        format: Dataset.Format = Dataset.FORMAT_UNSPECIFIED,
        on_upload: Progress | None = None,
    ) -> Dataset:
        """Upload a file, or the tables and images of a folder, unless the server has their bytes already."""
        return await self._driver.run(upload_path(Path(path), self._retry, format, on_upload))

    async def server_info(self) -> ServerInfo:
        """Return the server's version, limits, devices and encoders on hand."""
        return await self._driver.run(call(SERVER_INFO, GetServerInfoRequest()))
